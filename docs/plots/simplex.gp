# simplex.gp -- 16 log densities over the triangle, drawn by simplex.c into PPM files, and the rate
# at which a heated Gumbel-softmax goes to the center
set terminal pngcairo size 1000,1220 font "Sans,10"
set output out
set multiplot
unset key
unset xtics
unset ytics
unset border
names = "gumbel-0.1 gumbel-0.995 gumbel-5 gumbel-20 shifted-0.1 shifted-0.995 shifted-5 shifted-20 " \
      . "dirichlet-0.1 dirichlet-0.995 dirichlet-5 dirichlet-20 " \
      . "logit-normal-1 logit-normal-2 logit-normal-3 logit-normal-4"
set size ratio -1
do for [i=1:16] {
    name = word(names, i)
    set origin ((i - 1) % 4) * 0.25, 0.8 - int((i - 1) / 4) * 0.2
    set size 0.25, 0.198
    set lmargin 0; set rmargin 0; set bmargin 0; set tmargin 2
    set title name
    plot [0:299] [0:259] dir."/".name.".ppm" binary skip=15 array=(300,260) flipy \
        format='%uchar' using 1:2:3 with rgbimage
}
set size noratio
set origin 0.02, 0.0
set size 0.95, 0.19
set lmargin 9; set rmargin 2; set bmargin 3; set tmargin 1.6
set border
set logscale xy
set xtics
set ytics 0.01
set key bottom left
set format y "10^{%T}"
set xlabel "tau"
set title "E|y - 1/3|^2: Gumbel-softmax, its limit, Dirichlet"
plot [0.01:100] [1e-5:10] \
     dir."/center.dat" using 1:2 with linespoints pt 7 ps 0.7 title "Gumbel-softmax", \
     "" using 1:3 with lines dt 3 lc rgb "black" title "predicted as tau grows", \
     "" using 1:4 with linespoints pt 7 ps 0.7 title "Dirichlet(tau (2 1 1))"
unset multiplot
