# prior_fashion.gp -- ./prior_from_teacher FASHION: test log likelihood by step, four priors
set terminal pngcairo size 700,340 font "Sans,10" linewidth 1.2
set output out
set yrange [-0.9:-0.35]
set xrange [0:15000]
set xtics 3000
set xlabel "step (batch of 8)"
set ylabel "test log likelihood per image"
set key bottom right samplen 2 spacing 1.1
set title "[784,800,50,10] to [784,50,10]"
plot dat using 1:2 with lines lc rgb "#888888" lw 2 title "plain prior", \
     dat using 1:3 with lines lc rgb "black" lw 1 dt 2 title "means copied only", \
     dat using 1:4 with lines lc rgb "#2171b5" lw 2 title "prior: teacher's means", \
     dat using 1:5 with lines lc rgb "#b2182b" lw 2 title "prior: means and variances"
