# prior_from_teacher.gp -- test curves of students under four priors, two shapes
set terminal pngcairo size 900,320 font "Sans,10" linewidth 1.2
set output out
set multiplot layout 1,2 margins 0.09,0.985,0.15,0.90 spacing 0.07
set logscale y
set yrange [0.01:10]
set xrange [0:2500]
set xlabel "step"
set ylabel "test MSE"
set key top right samplen 2 spacing 1.1
do for [k=0:1] {
    set title k == 0 ? "[10,100,50,1] to [10,10,10,1]" : "[10,100,50,1] to [10,50,1]"
    if (k == 1) { unset ylabel }
    plot dat index k using 1:(-$2) with lines lc rgb "#888888" lw 2 title "plain prior", \
         dat index k using 1:(-$4) with lines lc rgb "#2171b5" lw 2 title "prior: teacher's means", \
         dat index k using 1:(-$5) with lines lc rgb "#b2182b" lw 2 title "prior: means and variances", \
         dat index k using 1:(-$3) with lines lc rgb "black" lw 1 dt 3 title "means copied only"
}
unset multiplot
