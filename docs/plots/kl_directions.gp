# kl_directions.gp -- one Gaussian fitted to a mixture, by KL(p||q) and by KL(q||p)
set terminal pngcairo size 900,300 font "Sans,10" linewidth 1.2
set output out
set multiplot layout 1,2 margins 0.05,0.99,0.12,0.90 spacing 0.05
set xrange [-7:9]
set yrange [0:0.72]
set key top right samplen 2 spacing 1.1
set title "KL(p||q): covers, matches the moments"
plot dat using 1:2 with filledcurves y1=0 fc rgb "#dddddd" title "p", \
     dat using 1:3 with lines lc rgb "#2171b5" lw 2 title "q"
set title "KL(q||p): three local optima, by the start"
set format y ""
plot dat using 1:2 with filledcurves y1=0 fc rgb "#dddddd" title "p", \
     dat using 1:4 with lines lc rgb "#b2182b" lw 2 title "left mode", \
     dat using 1:5 with lines lc rgb "#ef8a62" lw 2 title "right mode", \
     dat using 1:6 with lines lc rgb "#542788" lw 2 dt 2 title "broad"
unset multiplot
