# vae.gp -- the plane of two latents: where the encoder puts the test digits
set terminal pngcairo size 520,460 font "Sans,10"
set output out
set title "means of q(t|x), test digits by label"
set xlabel "t1"
set ylabel "t2"
set xrange [-3:3]
set yrange [-3:3]
set size square
set palette maxcolors 10 defined (0 "#1f77b4", 1 "#ff7f0e", 2 "#2ca02c", 3 "#d62728", 4 "#9467bd", \
    5 "#8c564b", 6 "#e377c2", 7 "#7f7f7f", 8 "#bcbd22", 9 "#17becf")
set cbrange [-0.5:9.5]
set cbtics 0,1,9
unset key
plot dat using 1:2:3 with points pt 7 ps 0.35 lc palette
