# toy2d.gp -- probability of class 1 on [-5,5]^2: MAP, HMC, SGLD and two students
set terminal pngcairo size 1100,260 font "Sans,10"
set output out
set multiplot layout 1,5 margins 0.02,0.94,0.06,0.88 spacing 0.008
unset key
unset tics
set xrange [-5:5]
set yrange [-5:5]
set size square
set cbrange [0:1]
set palette defined (0 "#b2182b", 0.25 "#f4a582", 0.5 "#f7f7f7", 0.75 "#92c5de", 1 "#2166ac")
unset colorbox
array col[5] = [4, 3, 5, 6, 7]
array what[5] = ["MAP, one network", "HMC, 400 networks", "SGLD, 400 networks", "student 2-10-2", "student 2-100-2"]
do for [m=1:5] {
    set title what[m]
    if (m == 5) { set colorbox user origin 0.95,0.08 size 0.01,0.78; set cbtics 0.5 }
    plot dat index 1 using 1:2:(column(col[m])) with image, \
         dat index 0 using 1:2:($3 == 0 ? 6 : 7) with points pt variable ps 0.9 lc rgb "black"
}
unset multiplot
