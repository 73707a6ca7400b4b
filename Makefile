# make help | run | mpi | test | sanitize | matrix | everywhere | bench | plots | play | clean
CC      = cc
CFLAGS  = -std=c99 -O2 -Wall -Wextra
LDLIBS  = -lm
BUILD   = build
KINDS   = float double
JOBS    = $(shell nproc 2>/dev/null || echo 1)
MAKEFLAGS += -j$(JOBS)

EXAMPLES = $(patsubst examples/%.c,%,$(wildcard examples/*.c))
RUNNABLE = $(filter-out matrix,$(EXAMPLES))
TESTS    = $(patsubst tests/%.c,%,$(wildcard tests/test_*.c))

.PHONY: help run mpi examples test sanitize matrix everywhere bench plots play clean
.SECONDARY:

help:
	@echo "make run       quickstart and digits: a posterior, error bars, one small student"
	@echo "make test      the whole suite, in float and in double"
	@echo "make sanitize  the suite, in float, under the address and undefined-behavior sanitizers"
	@echo "make matrix    compilers x standards x macros x optimization levels"
	@echo "make everywhere  other machines, builds, load, coverage: hours; docs/portability.md"
	@echo "make bench     our times beside OpenBLAS and PyTorch"
	@echo "make mpi       chains over processes: 4 of them, or RANKS=8; docs/scale.md"
	@echo "make plots     the pictures of docs/"
	@echo "make play      the playground, docs/play/index.html, by emscripten"
	@echo "make NAME      one example: $(RUNNABLE) ($(BUILD)/matrix is the matrix example)"

$(BUILD)/%: examples/%.c bnn.h $(wildcard examples/*.h)
	@mkdir -p $(BUILD)
	$(CC) $(CFLAGS) -I. $< -o $@ $(LDLIBS) $(LIBS_$*)

LIBS_chains = -pthread

$(RUNNABLE): %: $(BUILD)/%
	./$(BUILD)/$@

examples: $(EXAMPLES:%=$(BUILD)/%) # built only

run: $(BUILD)/quickstart $(BUILD)/digits
	./$(BUILD)/quickstart
	./$(BUILD)/digits

RANKS = 4
mpi: # as root and on fewer cores than processes, too
	@command -v mpicc >/dev/null || { echo "mpicc is missing: install Open MPI or MPICH (Debian:" \
	"apt-get install openmpi-bin libopenmpi-dev); make chains_mpi needs neither"; exit 1; }
	@mkdir -p $(BUILD)
	mpicc $(CFLAGS) -DWITH_MPI -I. examples/chains_mpi.c -o $(BUILD)/chains_of_many $(LDLIBS)
	OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1 \
	mpirun -n $(RANKS) $(BUILD)/chains_of_many

# a test that asks for no internals is linked with the header, compiled once; the others compile it
LINKED = $(patsubst tests/%.c,%,$(shell grep -L 'bnn__\|BNN__\|BNN_IMPLEMENTATION\|mlp->\|fit->chains\|define fopen' tests/test_*.c))
FLAGS_double = -O1 -DBNN_TEST_DOUBLE
define kind
$(BUILD)/$(1)/bnn.o: tests/build.h bnn.h
	@mkdir -p $$(@D)
	@$(CC) $(CFLAGS) $(FLAGS_$(1)) $(TESTFLAGS) -DBUILD_LIBRARY -I. -x c -c $$< -o $$@
$(LINKED:%=$(BUILD)/$(1)/%): LINK = -DBUILD_LINKED $(BUILD)/$(1)/bnn.o
$(LINKED:%=$(BUILD)/$(1)/%): $(BUILD)/$(1)/bnn.o
$(BUILD)/$(1)/%: tests/%.c bnn.h $(wildcard tests/*.h) $(wildcard examples/*.h)
	@mkdir -p $$(@D)
	@$(CC) $(CFLAGS) $(FLAGS_$(1)) $(TESTFLAGS) -I. -Itests $$< $$(LINK) -o $$@ $(LDLIBS)
endef
$(foreach one,float double,$(eval $(call kind,$(one))))

test: $(foreach kind,$(KINDS),$(TESTS:%=$(BUILD)/$(kind)/%))
	@sh tests/run.sh $(BUILD)

sanitize:
	$(MAKE) test BUILD=$(BUILD)/sanitize KINDS=float CFLAGS="-std=c99 -O1 -g -Wall -Wextra \
	-fsanitize=address,undefined -fno-sanitize-recover=all"

matrix:
	sh tests/matrix.sh

everywhere:
	sh tests/everywhere.sh

bench:
	sh tests/bench/bench.sh

plots:
	sh docs/plots.sh

play: # docs/play/play.js, by emscripten
	sh docs/play/build.sh

clean:
	rm -rf $(BUILD)
