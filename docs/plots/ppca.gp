# ppca.gp -- EM climbs to the likelihood of the closed form
set terminal pngcairo size 520,320 font "Sans,10" linewidth 1.2
set output out
set logscale x
set xlabel "step + 1"
set ylabel "ln p per image, nats"
set yrange [5:19]
set key bottom right
plot dat using ($1+1):3 with lines lc rgb "#888888" dt 2 title "closed form", \
     dat using ($1+1):2 with linespoints pt 7 ps 0.4 lc rgb "#2171b5" title "EM"
