# quickstart.gp -- bands of two standard deviations: the ensemble and its student over the data
set terminal pngcairo size 800,400 font "Sans,10" linewidth 1.2
set output out
set xrange [-3:3]
set yrange [-4.2:4.2]
set xlabel "x"
set ylabel "y"
set key bottom left
plot dat index 0 using 1:($2-2*$3):($2+2*$3) with filledcurves fc rgb "#c6dbef" title "ensemble, mean +- 2 sd", \
     dat index 0 using 1:2 with lines lc rgb "#2171b5" lw 2 title "mean of 200 networks", \
     dat index 0 using 1:($4-2*$5) with lines lc rgb "#d94801" dt 2 title "student, mean +- 2 sd", \
     dat index 0 using 1:($4+2*$5) with lines lc rgb "#d94801" dt 2 notitle, \
     sin(2*x) with lines lc rgb "#888888" dt 3 title "sin 2x", \
     dat index 1 using 1:2 with points pt 7 ps 0.5 lc rgb "black" title "data"
