# autoencoder.gp -- squared error per image over the number of latents
set terminal pngcairo size 520,320 font "Sans,10" linewidth 1.2
set output out
set xlabel "latents"
set ylabel "squared error per image"
set yrange [0:*]
set key top right
plot dat using 1:2 with lines lc rgb "#888888" dt 2 title "sum of discarded eigenvalues", \
     dat using 1:3 with points pt 7 ps 0.8 lc rgb "#2171b5" title "linear, trained", \
     dat using 1:4 with linespoints pt 7 ps 0.8 lc rgb "#d94801" title "deep"
