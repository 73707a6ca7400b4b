# bench.gp -- ratios of `make bench`: best peer's time over ours; above 1 ours is faster
set terminal pngcairo size 900,760 noenhanced font "Sans,10"
set output out
set logscale x 2
set xrange [0.4:64]
set xlabel "time of the fastest peer / ours"
set style fill solid
set grid x
unset key
stats dat using 2 nooutput
n = STATS_records
set yrange [n-0.3:-0.7]
set lmargin 26
set arrow from 1, graph 0 to 1, graph 1 nohead lc rgb "#444444" lw 1.5
plot dat using (1):0:(1):2:($0-0.35):($0+0.35):ytic(1) with boxxyerror \
     lc rgb "#6baed6", \
     dat using (($2 > 1 ? $2 : 1)*1.06):0:(sprintf("%.2f", $2)) with labels left font "Sans,9"
