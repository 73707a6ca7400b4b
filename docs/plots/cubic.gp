# cubic.gp -- y = x^3 + N(0, 9): HMC, SGLD and the student of SGLD, mean +- 2 sd
set terminal pngcairo size 900,330 font "Sans,10" linewidth 1.2
set output out
set multiplot layout 1,3 margins 0.06,0.99,0.14,0.90 spacing 0.04
set xrange [-6:6]
set yrange [-220:220]
unset key
set xtics 2
do for [m=0:2] {
    a = 2 + 2 * m
    set title word("HMC SGLD student", m + 1)
    if (m == 1) { set format y "" }
    plot dat index 0 using 1:(column(a)-2*column(a+1)):(column(a)+2*column(a+1)) \
             with filledcurves fc rgb "#c6dbef", \
         dat index 0 using 1:a with lines lc rgb "#2171b5" lw 2, \
         x**3 with lines lc rgb "#888888" dt 3, \
         dat index 1 using 1:2 with points pt 7 ps 0.5 lc rgb "black"
}
unset multiplot
