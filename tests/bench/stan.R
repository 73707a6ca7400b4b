# stan.R -- what stan.sh runs: the models of examples/posteriordb.c in Stan.
library(rstan)
args <- commandArgs(TRUE)
program <- "data { int N; int d; int kind; matrix[N, d] X; vector[N] y; }
  parameters { vector[d] beta; real<lower=0> sigma; }
  model {
    if (kind == 1) sigma ~ cauchy(0, 2.5);
    if (kind == 2) { beta ~ normal(0, 10); sigma ~ cauchy(0, 2.5); }
    if (kind == 4) { beta ~ normal(0, 10); sigma ~ normal(0, 10); }
    if (kind == 6) { beta[1:24] ~ normal(0, 1); beta[25] ~ student_t(3, 8, 10);
                     sigma ~ student_t(3, 0, 10); }
    y ~ normal(X * beta, sigma);
  }"
sm <- stan_model(model_code = program, boost_lib = "/usr/include",
                 eigen_lib = "/usr/lib/R/site-library/RcppEigen/include")
for (name in args[-1]) {
  v <- read.csv(file.path(args[1], paste0(name, ".data.csv")))
  m <- switch(name,
    "kidiq-kidscore_momiq" = list(1, cbind(1, v$mom_iq), v$kid_score),
    "arK-arK" = { t <- 6:nrow(v); list(2, cbind(1, sapply(1:5, function(k) v$y[t - k])), v$y[t]) },
    "nes1972-nes" = list(3, with(v, cbind(1, real_ideo, race_adj, age_discrete == 2,
      age_discrete == 3, age_discrete == 4, educ1, gender, income)), v$partyid7),
    "sblri-blr" = list(4, as.matrix(v[, 1:5]), v$y),
    "earnings-logearn_interaction" = list(5, with(v, cbind(1, height, male, height * male)),
                                          log(v$earn)),
    "diamonds-diamonds" = list(6, cbind(scale(as.matrix(v[, 2:25]), scale = FALSE), 1), v$Y))
  data <- list(N = length(m[[3]]), d = ncol(m[[2]]), kind = m[[1]], X = unname(m[[2]]), y = m[[3]])
  for (seed in seq_len(as.integer(Sys.getenv("SEEDS", "1")))) {
    t0 <- sum(proc.time()[1:2])
    f <- sampling(sm, data = data, chains = 4, iter = 2000, refresh = 0, seed = seed, cores = 1)
    seconds <- sum(proc.time()[1:2]) - t0
    draws <- as.array(f)
    ess <- min(sapply(1:(data$d + 1), function(j) ess_bulk(draws[, , j])))
    gradients <- sum(sapply(get_sampler_params(f, inc_warmup = FALSE),
                            function(x) sum(x[, "n_leapfrog__"] + 1)))
    cat(sprintf("RESULT stan model=%s ess_per_grad=%.5f ess=%.0f seconds=%.2f\n", name,
                ess / gradients, ess, seconds))
  }
}
