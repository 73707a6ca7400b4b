# estimators.gp -- one-draw variances of the path and the score gradient, x - m = 1
set terminal pngcairo size 800,360 font "Sans,10" linewidth 1.2
set output out
set multiplot layout 1,2 margins 0.125,0.99,0.14,0.90 spacing 0.1
set logscale xy
set xrange [0.045:6]
set yrange [0.005:200000]
set xlabel "s, standard deviation of q"
do for [j=0:1] {
    set title word("mean deviation", j + 1) eq "mean" ? "gradient by the mean m" : "gradient by s"
    if (j == 0) { set ylabel "variance of one draw"; set key top left } else { unset ylabel; unset key }
    plot dat using 1:(column(6+2*j)) with points pt 7 ps 0.6 lc rgb "#d94801" title "score, measured", \
         dat using 1:(column(7+2*j)) with lines lc rgb "#d94801" title "score, closed form", \
         dat using 1:(column(2+2*j)) with points pt 7 ps 0.6 lc rgb "#2171b5" title "path, measured", \
         dat using 1:(column(3+2*j)) with lines lc rgb "#2171b5" title "path, closed form"
}
unset multiplot
