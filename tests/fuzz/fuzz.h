/* fuzz.h -- with -DFUZZ_MAIN a plain main that runs its file arguments: for AFL and for replay. */
#ifdef FUZZ_MAIN
int main(int argc, char **argv) {
    static unsigned char bytes[1 << 20];
    int i;
    for (i = 1; i < argc; i++) {
        FILE *f = fopen(argv[i], "rb");
        size_t n;
        if (f == NULL) return perror(argv[i]), 1;
        n = fread(bytes, 1, sizeof bytes, f);
        fclose(f);
        LLVMFuzzerTestOneInput(bytes, n);
    }
    return 0;
}
#endif
