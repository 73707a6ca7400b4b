# simplex.gp -- 16 log densities over the triangle, drawn by simplex.c into PPM files, discs for the
# draws that are in the corners, and the rate at which a heated Gumbel-softmax goes to the center
set terminal pngcairo size 1100,1440 font "Sans,10"
set output out
set multiplot
unset key
unset xtics
unset ytics
unset border
names = "gumbel-0.1 gumbel-0.995 gumbel-5 gumbel-20 shifted-0.1 shifted-0.995 shifted-5 shifted-20 " \
      . "dirichlet-0.1 dirichlet-0.995 dirichlet-5 dirichlet-20 " \
      . "logit-normal-1 logit-normal-2 logit-normal-3 logit-normal-4"
rows = "'Gumbel-softmax, weights 1 1 1' 'Gumbel-softmax, weights 10 0.1 0.1' " \
     . "'Dirichlet, alpha = tau (1 1 1)' 'Logit-normal, variances tau (1 0.5 0.7)'"
taus = "0.1 0.995 5 20 0.1 0.995 5 20 0.1 0.995 5 20 1 2 3 4"
set label 1 "Log density over three shares, from 4 nats below the uniform density (dark) to 4 above it (bright)." \
    at screen 0.5, 0.987 center font "Sans,11"
set label 2 "Discs: share of the draws within 0.01 of a corner, where no picture of a density can show them; area = share" \
    at screen 0.5, 0.973 center font "Sans,11"
set size ratio -1
do for [i=1:16] {
    name = word(names, i)
    set origin ((i - 1) % 4) * 0.25, 0.77 - int((i - 1) / 4) * 0.193
    set size 0.25, 0.191
    set lmargin 0; set rmargin 0; set bmargin 0; set tmargin 2.6
    set title word(rows, int((i - 1) / 4) + 1)."\ntau ".word(taus, i) offset 0,-0.5
    plot [-48:347] [-47:300] dir."/".name.".ppm" binary skip=15 array=(300,260) flipy \
        format='%uchar' using 1:2:3 with rgbimage, \
        dir."/corners.dat" using (strcol(1) eq name && $5 >= 1 ? $3 : NaN):4:(44 * sqrt($5 / 100)) \
        with circles fill solid 0.85 fc rgb "#2a9d8f" lc rgb "#0b3b36", \
        "" using (strcol(1) eq name && $5 >= 1 ? $3 : NaN):4:(sprintf("%.0f %%", $5)) \
        with labels font "Sans Bold,9" tc rgb "black"
    unset label
}
set size noratio
set origin 0.02, 0.0
set size 0.95, 0.185
set lmargin 9; set rmargin 2; set bmargin 3; set tmargin 1.6
set border
set logscale xy
set xtics
set ytics 0.01
set key bottom left
set format y "10^{%T}"
set xlabel "tau"
set title "Mean squared distance from the center"
plot [0.01:100] [1e-5:10] \
     dir."/center.dat" using 1:2 with linespoints pt 7 ps 0.7 title "Gumbel-softmax", \
     "" using 1:3 with lines dt 3 lc rgb "black" title "predicted as tau grows", \
     "" using 1:4 with linespoints pt 7 ps 0.7 title "Dirichlet(tau (2 1 1))"
unset multiplot
