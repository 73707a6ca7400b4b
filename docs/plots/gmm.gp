# gmm.gp -- EM, and Monte Carlo EM with S draws, from one start
set terminal pngcairo size 520,320 font "Sans,10" linewidth 1.2
set output out
set xrange [4:60]
set yrange [-3.02:-2.998]
set xlabel "step"
set ylabel "ln p per row, nats"
set key bottom right
plot dat using 1:2 with lines lw 3 lc rgb "#c6dbef" title "EM", \
     dat using 1:5 with linespoints pt 7 ps 0.4 lc rgb "#d94801" title "Monte Carlo EM, S = 1", \
     dat using 1:6 with linespoints pt 7 ps 0.4 lc rgb "#fd8d3c" title "S = 10", \
     dat using 1:7 with lines dt 2 lc rgb "#2171b5" title "S = 100"
