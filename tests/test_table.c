/* test_table.c -- tables: what a column is, what a recipe makes of it, the same again for the next
 * table and from a file, folds, and a sentence for each thing that is wrong. */
#include "build.h"
#include "world.h"

static bnn_table table_of(const char *text, bnn_csv_desc desc) {
    bnn_table t = { 0 };
    int err = bnn_table_parse(&mem, &t, text, strlen(text), desc);
    CHECK(err == BNN_OK);
    if (err != BNN_OK) printf("    %s\n", mem.msg);
    return t;
}

static bnn_table plain(const char *text) { return table_of(text, (bnn_csv_desc){ 0 }); }

static int refused(const char *text, bnn_csv_desc desc, const char *part) { /* by the parser */
    bnn_table t = { 0 };
    int err = bnn_table_parse(&mem, &t, text, strlen(text), desc);
    int ok = err != BNN_OK && mem.err == BNN_OK && t.columns == NULL && strstr(mem.msg, part) != NULL;
    if (!ok) printf("    err %d: %s\n", err, mem.msg);
    return ok;
}

static int no_recipe(const char *text, bnn_recipe_desc d, const char *part) {
    bnn_table t = plain(text);
    bnn_recipe r = bnn_recipe_new(&mem, &t, d);
    return r.n_inputs == 0 && mem_took(mem.err != BNN_OK ? mem.err : -1, part);
}

static int no_data(const bnn_recipe *r, const char *text, const char *part) {
    bnn_table t = plain(text);
    bnn_data d = bnn_recipe_data(&mem, r, &t, NULL);
    return d.x.data == NULL && mem_took(mem.err != BNN_OK ? mem.err : -1, part);
}

static int noted(const char *part) {
    int ok = mem.notes > 0 && strstr(mem.note, part) != NULL;
    if (!ok) printf("    %d notes: %s\n", (int)mem.notes, mem.note);
    mem.notes = 0;
    mem.note[0] = '\0';
    return ok;
}

static int mat_is(bnn_mat m, size_t rows, size_t cols, const double *v) {
    size_t i;
    int ok = m.rows == rows && m.cols == cols;
    for (i = 0; ok && i < rows * cols; i++) ok = check_near((double)m.data[i], v[i], 1e-6);
    if (!ok) printf("    is %dx%d\n", (int)m.rows, (int)m.cols);
    return ok;
}

static const char *const flowers =
    "length,kind,wild,seen,city\n"
    "5.1,setosa,yes,2020-01-01,Rome\n"
    "4.9,virginica,no,2020-01-02,Oslo\n"
    "6.5,setosa,Yes,2021-03-01,Rome\n"
    "-1,versicolor,NO,1969-12-31,\"Los Angeles, CA\"\n";

static void a_column_is_what_all_its_fields_can_be_read_as(void) {
    bnn_table t = plain(flowers);
    CHECK(t.rows == 4 && t.cols == 5 && t.lines[0] == 2 && t.lines[3] == 5);
    CHECK(strcmp(t.columns[0].name, "length") == 0 && strcmp(t.columns[4].cells[3], "Los Angeles, CA") == 0);
    CHECK(t.columns[0].kind == BNN_COLUMN_NUMBER && t.columns[1].kind == BNN_COLUMN_CLASS);
    CHECK(t.columns[2].kind == BNN_COLUMN_YESNO && t.columns[3].kind == BNN_COLUMN_DATE);
    CHECK(t.columns[4].kind == BNN_COLUMN_CLASS && t.columns[4].missing == 0);
    t = table_of("1,2\n3,4\n", (bnn_csv_desc){ 0 });
    CHECK(t.rows == 2 && strcmp(t.columns[1].name, "2") == 0);
}

static void every_spelling_of_missing_is_missing(void) {
    bnn_table t = plain("a,b\n1,x\nNA,n/a\n#N/A,NULL\nnull,None\nnan,NaN\n-,\"\"\n?,\n ,na\n2,y\n");
    CHECK(t.rows == 9 && t.columns[0].missing == 7 && t.columns[1].missing == 7);
    CHECK(t.columns[0].kind == BNN_COLUMN_NUMBER && t.columns[1].kind == BNN_COLUMN_CLASS);
    CHECK(refused("a,b\n1,2\n3,None\n", (bnn_csv_desc){ .reject_missing = 1 },
                  "table: line 3, column 2: \"None\" is missing"));
}

static void numbers_have_marks_and_percent(void) {
    bnn_csv_desc german = { .separator = ';', .decimal = ',', .thousands = '.' };
    bnn_csv_desc english = { .thousands = ',' };
    const double v[] = { 1234.5, -0.5, 1234567, 0.125, 7, 100 };
    bnn_table t = table_of("a\n1.234,5\n-0,5\n1.234.567\n12,5%\n7,0\n100\n", german);
    bnn_recipe r = bnn_recipe_new(&mem, &t, (bnn_recipe_desc){ 0 });
    CHECK(mat_is(bnn_recipe_data(&mem, &r, &t, NULL).x, 6, 1, v));
    t = table_of("a\n\"1,234.5\"\n-.5\n\"1,234,567\"\n12.5 %\n7.0\n100\n", english);
    r = bnn_recipe_new(&mem, &t, (bnn_recipe_desc){ 0 });
    CHECK(mat_is(bnn_recipe_data(&mem, &r, &t, NULL).x, 6, 1, v));
    static const char *const not[] = { "1.23", "1.2345", ".123", "12.34.567", "1,2.345", "1..234", "1.234.", "1,2,3" };
    for (size_t i = 0; i < sizeof not / sizeof *not; i++) {
        double d;
        CHECK(!bnn__text_number(not[i], strlen(not[i]), ',', '.', &d));
    }
    CHECK(no_recipe("a;b\n1,5;1\n2,5;2\n", (bnn_recipe_desc){ 0 },
                    "table: line 2, column 1 (a): \"1,5\" is not a number: say .decimal = ','"));
    CHECK(no_recipe("a;b\n1;\"1,234,567\"\n2;1\n", (bnn_recipe_desc){ 0 },
                    "line 2, column 2 (b): \"1,234,567\" is not a number: say .thousands = ','"));
    CHECK(no_recipe("a;b\n1.234,5;1\n2,5;2\n", (bnn_recipe_desc){ 0 }, "say .decimal = ',' and .thousands = '.'"));
    t = table_of("a;b\n1234,567;1\n-12,345,678;2\n", (bnn_csv_desc){ .thousands = ',' }); /* no group of four */
    CHECK(t.columns[0].kind == 0 && no_recipe("a;b\n1234,567;1\n2;2\n", (bnn_recipe_desc){ 0 }, "say .decimal = ','"));
    t = table_of("a;b\n1.234,5;1\n2,5;2\n", (bnn_csv_desc){ .decimal = ',' });
    r = bnn_recipe_new(&mem, &t, (bnn_recipe_desc){ 0 });
    CHECK(r.x_cols == 0 && mem_took(BNN_EFORMAT, "\"1.234,5\" is not a number: say .thousands = '.'"));
    t = table_of("a;b\n1.234;1\n2,5;2\n", (bnn_csv_desc){ .decimal = ',' });
    r = bnn_recipe_new(&mem, &t, (bnn_recipe_desc){ .target = "b" });
    CHECK(r.x_cols == 0 && mem_took(BNN_EFORMAT, "\"1.234\" is not a number: say .thousands = '.'"));
    bnn_csv c; /* the numeric reader has the same marks and the same hint */
    CHECK(bnn_csv_parse(&mem, &c, "a;b\n1,5;2\n", 10, (bnn_csv_desc){ .decimal = ',' }) == BNN_OK);
    CHECK_NEAR(c.values.data[0], 1.5, 1e-6);
    CHECK(bnn_csv_parse(&mem, &c, "a;b\n1,5;2\n", 10, (bnn_csv_desc){ 0 }) == BNN_EFORMAT &&
          strstr(mem.msg, "say .decimal = ','") != NULL);
    CHECK(bnn_csv_parse(&mem, &c, "1,5;2,5\n", 8, (bnn_csv_desc){ .decimal = ',' }) == BNN_OK);
    CHECK(c.values.cols == 2); /* no separator is guessed that is the decimal mark */
    CHECK(bnn_csv_parse(&mem, &c, " 1,5 \n2,5\n", 10, (bnn_csv_desc){ .decimal = ',' }) == BNN_OK);
    CHECK(c.values.cols == 1 && c.values.rows == 2 && c.values.data[0] == (float)1.5);
    CHECK(bnn_csv_parse(&mem, &c, "v\n\"1,5\"\n2,5\n", 12, (bnn_csv_desc){ .decimal = ',' }) == BNN_OK);
    CHECK(c.values.cols == 1 && c.values.rows == 2 && c.values.data[1] == (float)2.5);
    CHECK(bnn_csv_parse(&mem, &c, "a,b\n\"1,5\",2\n", 12, (bnn_csv_desc){ .decimal = ',' }) == BNN_OK);
    CHECK(c.values.cols == 2 && c.values.data[0] == (float)1.5); /* where quotes hide the mark */
}

static void dates_are_days_and_their_order_is_never_guessed(void) {
    const double v[] = { 0, 1, -1, 18321.5, 11016 };
    bnn_table t = plain("d\n1970-01-01\n1970/01/02\n1969.12.31\n2020-02-29T12:00:00Z\n2000-02-29 00:00\n");
    bnn_recipe r = bnn_recipe_new(&mem, &t, (bnn_recipe_desc){ 0 });
    CHECK(t.columns[0].kind == BNN_COLUMN_DATE);
    CHECK(mat_is(bnn_recipe_data(&mem, &r, &t, NULL).x, 5, 1, v));
    t = plain("d\n1.2.1970\n25.12.1970\n");
    r = bnn_recipe_new(&mem, &t, (bnn_recipe_desc){ 0 });
    CHECK_NEAR(bnn_recipe_data(&mem, &r, &t, NULL).x.data[0], 31, 0);
    t = plain("d\n1/2/1970\n12/25/1970\n");
    bnn_recipe us = bnn_recipe_new(&mem, &t, (bnn_recipe_desc){ 0 });
    CHECK_NEAR(bnn_recipe_data(&mem, &us, &t, NULL).x.data[0], 1, 0);
    t = plain("d\n1/2/1970\n"); /* the recipe knows the order */
    CHECK_NEAR(bnn_recipe_data(&mem, &us, &t, NULL).x.data[0], 1, 0);
    CHECK_NEAR(bnn_recipe_data(&mem, &r, &t, NULL).x.data[0], 31, 0);
    CHECK(no_data(&us, "d\n25/12/1970\n", "\"25/12/1970\" is not a date in the order of the recipe"));
    const char *both = "d,x\n1/2/1970,1\n3/4/1970,2\n";
    CHECK(no_recipe(both, (bnn_recipe_desc){ 0 }, "line 2, column 1 (d): \"1/2/1970\" is a day and a month"));
    t = plain(both);
    r = bnn_recipe_new(&mem, &t, (bnn_recipe_desc){ .date_order = BNN_DATE_MONTH_FIRST });
    CHECK_NEAR(bnn_recipe_data(&mem, &r, &t, NULL).x.data[0], 1, 0);
    t = plain("d,x\n1/2/1970,1\nsoon,2\n"); /* an order of dates, but a word among them */
    r = bnn_recipe_new(&mem, &t, (bnn_recipe_desc){ .date_order = BNN_DATE_MONTH_FIRST });
    CHECK(r.x_cols == 0 && mem_took(BNN_EFORMAT, "\"1/2/1970\" is none of what others are"));
    t = plain(both);
    r = bnn_recipe_new(&mem, &t, (bnn_recipe_desc){ .skip = "d" });
    CHECK(r.x_cols == 1);
    static const char *const not[] = { "2021-02-29", "1900-02-29", "2020-13-01", "2020-00-10", "2020-01-1x",
                                       "20-01-01", "2020-01", "2020-01-01T25:00", "2020-01-01T10", "1/2-1970",
                                       "1/2/19700", "0000-01-01", "1/2/970" };
    for (size_t i = 0; i < sizeof not / sizeof *not; i++) {
        double a, b;
        CHECK(bnn__date(not[i], &a, &b) == 0);
    }
}

static void a_recipe_makes_x_and_y_and_labels(void) {
    const double x[] = { 5.1, 1, 18262, 0, 0, 1, 4.9, 0, 18263, 0, 1, 0,
                         6.5, 1, 18687, 0, 0, 1, -1, 0, -1, 1, 0, 0 };
    const double y[] = { 0, 2, 0, 1 };
    bnn_table t = plain(flowers);
    bnn_recipe r = bnn_recipe_new(&mem, &t, (bnn_recipe_desc){ .target = "kind" });
    bnn_data d = bnn_recipe_data(&mem, &r, &t, NULL);
    CHECK(r.n_inputs == 4 && r.x_cols == 6 && r.target.n_classes == 3);
    CHECK(mat_is(d.x, 4, 6, x) && mat_is(d.y, 4, 1, y));
    CHECK(strcmp(r.x_names[0], "length") == 0 && strcmp(r.x_names[3], "city=Los Angeles, CA") == 0);
    CHECK(strcmp(bnn_recipe_label(&r, 1), "versicolor") == 0 && bnn_recipe_label(&r, 3)[0] == '\0');
    r = bnn_recipe_new(&mem, &t, (bnn_recipe_desc){ .target = "wild", .inputs = "1, seen", .classes = "length" });
    d = bnn_recipe_data(&mem, &r, &t, NULL);
    CHECK(r.x_cols == 5 && strcmp(r.target.classes[0], "no") == 0 && strcmp(r.target.classes[1], "yes") == 0);
    CHECK(strcmp(r.x_names[0], "length=-1") == 0 && d.x.data[3] == 0 && d.x.data[2] == 1);
    r = bnn_recipe_new(&mem, &t, (bnn_recipe_desc){ .target = "2", .skip = "5,3, seen" });
    CHECK(r.x_cols == 1 && strcmp(r.target.name, "kind") == 0);
}

static void missing_fields_are_refused_dropped_or_imputed_as_asked(void) {
    const char *text = "a,c,y\n1,u,1\nNA,u,2\n3,,3\n5,v,4\n5,v,NA\n";
    const double means[] = { 1, 1, 0, 3.5, 1, 0, 3, 0.5, 0.5, 5, 0, 1 };
    const double flags[] = { 1, 0, 1, 0, 0, 3.5, 1, 1, 0, 0, 3, 0, 0.5, 0.5, 1, 5, 0, 0, 1, 0 };
    const double dropped[] = { 1, 1, 0, 5, 0, 1 };
    bnn_table t = plain(text);
    bnn_recipe r = bnn_recipe_new(&mem, &t, (bnn_recipe_desc){ .target = "y" });
    size_t rows[5];
    bnn_data d;
    CHECK(no_data(&r, text, "table: line 3, column 1 (a): \"NA\" is missing: say .missing"));
    r = bnn_recipe_new(&mem, &t, (bnn_recipe_desc){ .target = "y", .missing = BNN_MISSING_DROP });
    d = bnn_recipe_data(&mem, &r, &t, rows);
    CHECK(mat_is(d.x, 2, 3, dropped) && d.y.rows == 2 && rows[0] == 0 && rows[1] == 3);
    CHECK(noted("table: 3 of 5 rows have missing fields and were dropped"));
    r = bnn_recipe_new(&mem, &t, (bnn_recipe_desc){ .target = "y", .missing = BNN_MISSING_MEAN });
    d = bnn_recipe_data(&mem, &r, &t, rows);
    CHECK(mat_is(d.x, 4, 3, means) && rows[3] == 3 && noted("1 of 5 rows"));
    r = bnn_recipe_new(&mem, &t, (bnn_recipe_desc){ .target = "y", .missing = BNN_MISSING_INDICATOR });
    d = bnn_recipe_data(&mem, &r, &t, NULL);
    CHECK(mat_is(d.x, 4, 5, flags) && strcmp(r.x_names[1], "a is missing") == 0 && noted("1 of 5"));
    const size_t train[] = { 0, 1, 2 }, bad[] = { 0, 5 }; /* the means of these three rows only: 2; u u */
    bnn_recipe_means(&mem, &r, &t, train, 3);
    d = bnn_recipe_data(&mem, &r, &t, NULL);
    CHECK_NEAR(d.x.data[5], 2, 0);
    CHECK_NEAR(d.x.data[6], 1, 0);
    CHECK_NEAR(d.x.data[12], 1, 0);
    bnn_recipe_means(&mem, &r, &t, NULL, t.rows);
    CHECK(mat_is(bnn_recipe_data(&mem, &r, &t, NULL).x, 4, 5, flags) && noted("1 of 5"));
    bnn_recipe_means(&mem, &r, &t, bad, 2);
    CHECK(mem_took(BNN_EARG, "bnn_recipe_means: row 5 of 5"));
    bnn_table less = plain("a,y\n7,1\n9,2\n"); /* no column c: the mean of a stays, too */
    bnn_recipe_means(&mem, &r, &less, NULL, 2);
    CHECK(mem_took(BNN_EARG, "table: there is no column \"c\""));
    CHECK(mat_is(bnn_recipe_data(&mem, &r, &t, NULL).x, 4, 5, flags) && noted("1 of 5"));
    t = plain("a,c,y\n,u,1\n2,,2\n"); /* nothing left */
    r.missing = BNN_MISSING_DROP;
    d = bnn_recipe_data(&mem, &r, &t, NULL);
    CHECK(d.x.data == NULL && mem_took(BNN_EARG, "table: all 2 rows have missing fields"));
}

static void the_next_table_becomes_the_same_columns(void) {
    bnn_table t = plain(flowers);
    bnn_recipe r = bnn_recipe_new(&mem, &t, (bnn_recipe_desc){ .target = "kind", .skip = "wild" });
    const double x[] = { 5, 3, 0, 1, 0 };
    bnn_table next = plain("city,extra,seen,length\nOslo,9,1970-01-04,5\n");
    bnn_data d = bnn_recipe_data(&mem, &r, &next, NULL);
    CHECK(mat_is(d.x, 1, 5, x) && d.y.data == NULL && noted("another order than the recipe's: found by name"));
    next = plain("length,kind,seen,city\n5,NA,1970-01-04,Oslo\n"); /* the target is to be predicted */
    d = bnn_recipe_data(&mem, &r, &next, NULL);
    CHECK(mat_is(d.x, 1, 5, x) && d.y.data == NULL && mem.notes == 0);
    CHECK(no_data(&r, "length,seen\n5,1970-01-04\n", "table: there is no column \"city\""));
    CHECK(no_data(&r, "length,seen,city\n5,1970-01-04,Bern\n",
                  "table: line 2, column 3 (city): \"Bern\" is a class that the recipe does not have"));
    CHECK(no_data(&r, "length,kind,seen,city\n5,tulip,1970-01-04,Oslo\n", "\"tulip\" is a class"));
    CHECK(no_data(&r, "length,seen,city\nx,1970-01-04,Oslo\n", "\"x\" is not a number"));
    bnn_table numbers = table_of("x,1,y\n5,7,1\n6,8,2\n", (bnn_csv_desc){ .header = 1 }); /* a column whose name is a number */
    bnn_recipe named = bnn_recipe_new(&mem, &numbers, (bnn_recipe_desc){ .target = "y" });
    CHECK(no_data(&named, "x,z\n50,60\n", "table: there is no column \"1\""));
    named = bnn_recipe_new(&mem, &numbers, (bnn_recipe_desc){ .target = "1", .skip = "y" });
    next = plain("x,z\n50,60\n");
    d = bnn_recipe_data(&mem, &named, &next, NULL);
    CHECK(d.x.data != NULL && d.x.data[0] == 50 && d.y.data == NULL);
    bnn_table bare = table_of("5,7\n6,8\n", (bnn_csv_desc){ 0 });
    bnn_recipe counted = bnn_recipe_new(&mem, &bare, (bnn_recipe_desc){ 0 }); /* without a header */
    const double there[] = { 50, 60 };
    CHECK(mat_is(bnn_recipe_data(&mem, &counted, &next, NULL).x, 1, 2, there));
    r.unknown = BNN_UNKNOWN_ZERO;
    next = plain("length,seen,city\n5,1970-01-04,Bern\n");
    d = bnn_recipe_data(&mem, &r, &next, NULL);
    const double zeros[] = { 5, 3, 0, 0, 0 };
    CHECK(mat_is(d.x, 1, 5, zeros) && noted("1 fields are classes that the recipe does not have: zeros"));
    CHECK(no_data(&r, "length,kind,seen,city\n5,tulip,1970-01-04,Oslo\n", "\"tulip\" is a class"));
    t = plain("a,b\n1,yes\n2,no\n");
    r = bnn_recipe_new(&mem, &t, (bnn_recipe_desc){ 0 });
    CHECK(no_data(&r, "a,b\n1,maybe\n", "\"maybe\" is neither yes nor no"));
}

static void bad_tables_get_a_sentence(void) {
    static char many[20000];
    char *p = many + sprintf(many, "y,name\n");
    for (int i = 0; i < 1000; i++) p += sprintf(p, "%d,name%c%c%c\n", i, 'a' + i / 100, 'a' + i / 10 % 10, 'a' + i % 10);
    CHECK(no_recipe(many, (bnn_recipe_desc){ .target = "y" }, "table: column 2 (name) has too many classes"));
    bnn_table t = plain(many);
    bnn_recipe r = bnn_recipe_new(&mem, &t, (bnn_recipe_desc){ .target = "y", .max_classes = 1000 });
    CHECK(r.x_cols == 1000);
    r = bnn_recipe_new(&mem, &t, (bnn_recipe_desc){ .target = "y", .max_classes = SIZE_MAX }); /* no limit */
    CHECK(r.x_cols == 1000 && strcmp(r.x_names[0], "name=nameaaa") == 0);
    CHECK(no_recipe("y\n1\n2\n", (bnn_recipe_desc){ .target = "y" }, "table: of 1 columns none is left for x"));
    CHECK(no_recipe("x,y\n1,3\n2,3\n", (bnn_recipe_desc){ .target = "y" }, "column 2 (y) is the same in all rows"));
    CHECK(no_recipe("x,y\n1,a\n2,a\n", (bnn_recipe_desc){ .target = "y" }, "a target must vary"));
    CHECK(no_recipe("x,y\n1,a\n2,b\n", (bnn_recipe_desc){ .target = "z" }, "there is no column \"z\""));
    CHECK(no_recipe("x,y\n1,a\n2,b\n", (bnn_recipe_desc){ .target = "3" }, "there is no column \"3\""));
    CHECK(no_recipe("x,y\n1,a\n2,b\n", (bnn_recipe_desc){ .target = "1.5" }, "there is no column \"1.5\""));
    CHECK(no_recipe("x,y\n1,a\n2,b\n", (bnn_recipe_desc){ .target = "99999999999999999999999" }, "there is no column"));
    CHECK(no_recipe("x,y\n1,a\n2,b\n", (bnn_recipe_desc){ .skip = "x, q" }, "there is no column \"q\""));
    CHECK(no_recipe("x,y\n1,a\n2,3\n", (bnn_recipe_desc){ 0 }, "column 2 (y): \"a\" is none of what others are"));
    CHECK(no_recipe("x,x,y\n1,2,3\n2,5,4\n", (bnn_recipe_desc){ .target = "y" },
                    "table: column 2 (x) has the name of an earlier column: rename it, or put its number into .skip"));
    t = plain("x,x,y\n1,2,3\n2,5,4\n");
    r = bnn_recipe_new(&mem, &t, (bnn_recipe_desc){ .target = "y", .skip = "2" });
    CHECK(r.x_cols == 1 && mem.err == BNN_OK);
    CHECK(no_recipe("x,y\n1,NA\n2,\n", (bnn_recipe_desc){ 0 }, "column 2 (y) has no values: put it into .skip"));
    CHECK(no_recipe("x,y\n1,1e999\n2,1\n", (bnn_recipe_desc){ 0 }, "\"1e999\" is not finite as a float"));
    CHECK(no_recipe("x,y\n1,2\n", (bnn_recipe_desc){ .missing = 9 }, "missing 9, unknown 1, date_order 0"));
    CHECK(refused("a,b\n1,\"x\n", (bnn_csv_desc){ 0 }, "table: line 2, column 2: \"x \" has no closing quote"));
    CHECK(refused("a,b\n1,2\n3\n", (bnn_csv_desc){ 0 }, "table: line 3 has 1 columns, line 1 has 2"));
    CHECK(refused("5.1,setosa\n", (bnn_csv_desc){ 0 }, "the first row has numbers and words"));
    CHECK(refused("a,b\n", (bnn_csv_desc){ 0 }, "has a header and no rows"));
    bnn_recipe none = { 0 };
    CHECK(no_data(&none, "a\n1\n", "bnn_recipe_data: a recipe of 0 columns, a table of 1 rows"));
}

static void what_is_written_reads_back(void) {
    const char *odd = "a,\"b \"\"x\"\"\",c\n1,\"q,r\",\" s\"\n2.5,\"line\nend\",\n";
    bnn_table t = plain(odd), back = { 0 };
    float v[] = { (float)0.1, (float)1e-7 };
    void *bytes;
    size_t size, i, j;
    bnn_table_add(&mem, &t, "new", (bnn_mat){ 2, 1, v }, 0);
    CHECK(bnn_table_write(&mem, &t, &bytes, &size) == BNN_OK);
    CHECK(size > strlen(odd) && memcmp(bytes, "a,\"b \"\"x\"\"\",c,new\n1,\"q,r\",\" s\",0.1\n", 35) == 0);
    CHECK(bnn_table_parse(&mem, &back, (char *)bytes, size, (bnn_csv_desc){ 0 }) == BNN_OK);
    CHECK(back.rows == 2 && back.cols == 4);
    for (i = 0; i < 2; i++)
        for (j = 0; j < 4; j++) CHECK(strcmp(t.columns[j].cells[i], back.columns[j].cells[i]) == 0);
    bnn_table made = { 0 };
    float w[] = { (float)bnn__nan(), 3 };
    char *names[] = { (char *)"x", (char *)"y" };
    bnn_table_add(&mem, &made, "only", (bnn_mat){ 2, 1, w }, 0);
    CHECK(bnn_table_write(&mem, &made, &bytes, &size) == BNN_OK && size == 10 && memcmp(bytes, "only\nNA\n3\n", 10) == 0);
    bnn_table_add_text(&mem, &made, "name", names);
    made.desc.separator = ';';
    CHECK(bnn_table_write(&mem, &made, &bytes, &size) == BNN_OK && memcmp(bytes, "only;name\n;x\n3;y\n", 17) == 0);
    t = plain("5,6\n7,8\n"); /* without names */
    CHECK(bnn_table_write(&mem, &t, &bytes, &size) == BNN_OK && size == 8 && memcmp(bytes, "5,6\n7,8\n", 8) == 0);
    w[0] = 9;
    bnn_table_add(&mem, &t, NULL, (bnn_mat){ 2, 1, w }, 0);
    CHECK(strcmp(t.columns[2].name, "3") == 0);
    CHECK(bnn_table_write(&mem, &t, &bytes, &size) == BNN_OK && memcmp(bytes, "5,6,9\n7,8,3\n", 12) == 0);
    t.desc.header = 1; /* they are names */
    CHECK(bnn_table_write(&mem, &t, &bytes, &size) == BNN_OK && memcmp(bytes, "1,2,3\n5,6,9\n", 12) == 0);
    bnn_table_add(&mem, &made, "bad", (bnn_mat){ 1, 1, w }, 0);
    CHECK(mem_took(BNN_ESHAPE, "bnn_table_add: column 0 of 1x1 to a table of 2 rows"));
    memset(&made, 0, sizeof made);
    CHECK(bnn_table_write(&mem, &made, &bytes, &size) == BNN_EARG && strstr(mem.msg, "table: a table without columns") != NULL);
}

static void written_numbers_are_short_and_exact(void) {
    static const struct { double v; const char *text; } t[] = {
        { 0, "0" }, { 1, "1" }, { -1.5, "-1.5" }, { 1e6, "1000000" }, { 0.001, "0.001" }, { 1e-5, "1e-5" },
        { 2e20, "2e20" }, { 123456, "123456" }, { 0.0625, "0.0625" }, { -1e-30, "-1e-30" }, { 9.5e15, "9.5e15" } };
    char text[48];
    size_t i, bad = 0;
    for (i = 0; i < sizeof t / sizeof *t; i++) {
        bnn__real_text(text, (float)t[i].v);
        CHECK(strcmp(text, t[i].text) == 0 || (t[i].v == -1e-30 && sizeof(float) == 8));
    }
    for (i = 0; i < 20000; i++) { /* any finite float */
        union { uint32_t u; uint64_t l; float f; } any;
        double back = 0;
        any.l = (uint64_t)bnn_rng_u32(&tape.rng) << 32 | bnn_rng_u32(&tape.rng);
        if (!bnn__finite(any.f) || (double)any.f > 1e290 || (double)any.f < -1e290) continue;
        bnn__real_text(text, any.f);
        (void)bnn__number(text, text + strlen(text), &back);
        bad += BUILD_TOL((float)back != any.f, !check_near(back, (double)any.f, 1e-15 * fabs((double)any.f)));
        bad += strlen(text) > 40;
    }
    CHECK(bad == 0);
}

static void a_recipe_travels_with_its_net(void) {
    bnn_table t = plain(flowers);
    bnn_recipe r = bnn_recipe_new(&mem, &t, (bnn_recipe_desc){ .target = "kind", .missing = BNN_MISSING_INDICATOR });
    bnn_net net = bnn_mlp(bnn_params_new(&mem), (bnn_mlp_desc){ .sizes = { r.x_cols, 3, 3 }, .likelihood = BNN_CATEGORICAL });
    bnn_net copy = { 0 };
    bnn_bytes b = bnn_recipe_write(&mem, &r), got = { 0 };
    bnn_checkpoint out = { .nets = { &net }, .bytes = { NULL, &b } }, in = { .nets = { &copy }, .bytes = { NULL, &got } };
    bnn_recipe back = { 0 };
    float mean = r.inputs[0].mean[0];
    r.inputs[0].mean[0] = (float)NAN;
    CHECK(bnn_recipe_write(&mem, &r).data == NULL && mem_took(BNN_ENONFINITE, "bnn_recipe_write: mean of a recipe is nan"));
    r.inputs[0].mean[0] = mean;
    void *file;
    size_t size, i;
    CHECK(bnn_checkpoint_write(&mem, &out, &file, &size) == BNN_OK);
    CHECK(((unsigned char *)file)[8] == 3 && ((unsigned char *)file)[28] == 1); /* version 3.1 */
    CHECK(bnn_checkpoint_read(&mem, &in, file, size) == BNN_OK && got.size == b.size && got.data != b.data);
    CHECK(bnn_recipe_read(&mem, &back, got) == BNN_OK);
    bnn_data d = bnn_recipe_data(&mem, &r, &t, NULL), e = bnn_recipe_data(&mem, &back, &t, NULL);
    CHECK(e.x.rows == 4 && e.x.cols == d.x.cols);
    for (i = 0; i < r.n_inputs; i++)
        CHECK_SAME_ARRAY(r.inputs[i].mean, back.inputs[i].mean, r.inputs[i].width);
    CHECK_SAME_ARRAY(d.x.data, e.x.data, 4 * d.x.cols);
    CHECK_SAME_ARRAY(d.y.data, e.y.data, 4);
    for (i = 0; i < r.x_cols; i++) CHECK(strcmp(r.x_names[i], back.x_names[i]) == 0);
    out.bytes[1] = NULL; /* without bytes it is the file that it was */
    CHECK(bnn_checkpoint_write(&mem, &out, &file, &size) == BNN_OK && ((unsigned char *)file)[8] == 1);
    CHECK(((unsigned char *)file)[28] == 0);
    CHECK(bnn_checkpoint_read(&mem, &in, file, size) == BNN_EFORMAT && strstr(mem.msg, "no section \"BYTE\" 1") != NULL);
    for (i = 0; i < b.size; i++) { /* no prefix is a recipe, and no changed byte does harm */
        bnn_bytes part = { b.data, i }, dirty = { bnn_arena_alloc(&mem, b.size, 1), b.size };
        bnn_recipe bad = { 0 };
        CHECK(bnn_recipe_read(&mem, &bad, part) != BNN_OK && bad.n_inputs == 0);
        memcpy(dirty.data, b.data, b.size);
        ((unsigned char *)dirty.data)[i] ^= 0x81;
        if (bnn_recipe_read(&mem, &bad, dirty) == BNN_OK) (void)bnn_recipe_data(&mem, &bad, &t, NULL);
        mem.err = BNN_OK;
    }
    mem.notes = 0;
    bnn_bytes longer = { bnn_arena_alloc(&mem, b.size + 1, 1), b.size + 1 };
    memcpy(longer.data, b.data, b.size);
    CHECK(bnn_recipe_read(&mem, &back, longer) == BNN_EFORMAT && strstr(mem.msg, "bytes behind the end") != NULL);
    back.inputs[0].n_classes = 3;
    CHECK(bnn_recipe_write(&mem, &back).data == NULL && mem_took(BNN_EARG, "a column has 3 classes"));
}

static void the_smallest_recipe_and_a_byte_order_mark_read_back(void) {
    bnn_table t = plain("x,z\n1,2\n3,4\n"), back = { 0 };
    bnn_recipe r = bnn_recipe_new(&mem, &t, (bnn_recipe_desc){ 0 }), same = { 0 };
    void *bytes;
    size_t size;
    CHECK(bnn_recipe_read(&mem, &same, bnn_recipe_write(&mem, &r)) == BNN_OK && same.x_cols == 2);
    t = plain("\n\xef\xbb\xbfx,z\n1,2\n"); /* not at the beginning: part of a name */
    CHECK(bnn_table_write(&mem, &t, &bytes, &size) == BNN_OK);
    CHECK(bnn_table_parse(&mem, &back, (char *)bytes, size, (bnn_csv_desc){ 0 }) == BNN_OK);
    CHECK(strcmp(back.columns[0].name, t.columns[0].name) == 0);
}

static void folds_are_even_also_within_labels(void) {
    enum { ROWS = 103, K = 5 };
    bnn_data d = { bnn_mat_new(&mem, ROWS, 2), bnn_mat_new(&mem, ROWS, 1) };
    size_t count[K][3] = { { 0 } }, all[K] = { 0 }, i, k, c;
    for (i = 0; i < ROWS; i++) d.x.data[2 * i] = (float)i, d.y.data[i] = i < 60 ? 0 : i < 90 ? 1 : 2;
    for (int stratified = 0; stratified < 2; stratified++) {
        size_t *f = bnn_data_folds(&mem, d, K, stratified, &tape.rng);
        memset(all, 0, sizeof all);
        memset(count, 0, sizeof count);
        for (i = 0; i < ROWS; i++) all[f[i]]++, count[f[i]][(int)d.y.data[i]]++;
        for (k = 0; k < K; k++) CHECK(all[k] == 20 || all[k] == 21);
        for (k = 0; k < K && stratified; k++) {
            CHECK(count[k][0] == 12 && count[k][1] == 6);
            CHECK(count[k][2] == 2 || count[k][2] == 3);
        }
        bnn_data test = bnn_data_fold(&mem, d, f, 2, 0), rest = bnn_data_fold(&mem, d, f, 2, 1);
        CHECK(test.x.rows == all[2] && test.x.rows + rest.x.rows == ROWS && rest.y.rows == rest.x.rows);
        for (i = 0, c = 0; i < test.x.rows; i++) c += f[(size_t)test.x.data[2 * i]] == 2;
        CHECK(c == test.x.rows);
    }
    size_t *folds = bnn_data_folds(&mem, d, K, 0, &tape.rng);
    CHECK(bnn_data_fold(&mem, d, folds, K, 0).x.data == NULL && mem_took(BNN_EARG, "fold 5 has 0 of 103 rows, y has 103"));
    d.y.rows = 100; /* their labels, and no more */
    CHECK(bnn_data_fold(&mem, d, folds, 0, 0).x.data == NULL && mem_took(BNN_EARG, "of 103 rows, y has 100"));
    d.y.rows = ROWS;
    CHECK(bnn_data_folds(&mem, d, 1, 0, &tape.rng) == NULL && mem_took(BNN_EARG, "bnn_data_folds: 1 folds of 103 rows"));
    d.y.data[7] = 0.5f;
    CHECK(bnn_data_folds(&mem, d, 5, 1, &tape.rng) == NULL && mem_took(BNN_EARG, "y is 0.5 in row 7, which is no label"));
}

static void files_are_saved_and_loaded(void) {
    const char *path = "test_table.csv.tmp";
    bnn_table t = plain(flowers), back = { 0 };
    CHECK(bnn_table_save(&mem, path, &t) == BNN_OK);
    CHECK(bnn_table_load(&mem, path, &back, (bnn_csv_desc){ 0 }) == BNN_OK && back.rows == 4);
    CHECK(strcmp(back.file, path) == 0 && strcmp(back.columns[4].cells[3], "Los Angeles, CA") == 0);
    remove(path);
    CHECK(bnn_table_load(&mem, path, &back, (bnn_csv_desc){ 0 }) == BNN_EIO);
}

typedef struct limit { long left; size_t out; } limit;

static void *limited(void *user, void *ptr, size_t old_size, size_t new_size) {
    limit *l = (limit *)user;
    if (new_size == 0) return l->out -= old_size, free(ptr), NULL;
    if (l->left-- == 0) return NULL;
    l->out += new_size - (ptr != NULL ? old_size : 0);
    return realloc(ptr, new_size);
}

static void no_memory_leaves_nothing_behind(void) {
    static char text[300000];
    char *p = text + sprintf(text, "a,b,y\n");
    for (int i = 0; i < 8000; i++) p += sprintf(p, "%d,word%d,%s\n", i, i % 50, i % 3 ? "yes" : "no");
    for (long k = 0; k < 40; k++) {
        limit l = { k, 0 };
        bnn_arena small = { .alloc = { limited, &l } };
        bnn_table t = { 0 };
        int err = bnn_table_parse(&small, &t, text, (size_t)(p - text), (bnn_csv_desc){ 0 });
        CHECK(err == BNN_OK || (err == BNN_ENOMEM && t.columns == NULL && small.err == BNN_OK));
        if (err == BNN_OK) {
            bnn_recipe r = bnn_recipe_new(&small, &t, (bnn_recipe_desc){ .target = "y" });
            bnn_data d = { { 0, 0, NULL }, { 0, 0, NULL } };
            if (r.n_inputs != 0) d = bnn_recipe_data(&small, &r, &t, NULL);
            CHECK(small.err == (d.x.data != NULL ? BNN_OK : BNN_ENOMEM));
        }
        bnn_arena_free(&small);
        CHECK(l.out == 0);
    }
}

#define OPEN_RUN(test) (open_all(1), RUN(test), close_all())

int main(void) {
    OPEN_RUN(a_column_is_what_all_its_fields_can_be_read_as);
    OPEN_RUN(every_spelling_of_missing_is_missing);
    OPEN_RUN(numbers_have_marks_and_percent);
    OPEN_RUN(dates_are_days_and_their_order_is_never_guessed);
    OPEN_RUN(a_recipe_makes_x_and_y_and_labels);
    OPEN_RUN(missing_fields_are_refused_dropped_or_imputed_as_asked);
    OPEN_RUN(the_next_table_becomes_the_same_columns);
    OPEN_RUN(bad_tables_get_a_sentence);
    OPEN_RUN(what_is_written_reads_back);
    OPEN_RUN(written_numbers_are_short_and_exact);
    OPEN_RUN(a_recipe_travels_with_its_net);
    OPEN_RUN(the_smallest_recipe_and_a_byte_order_mark_read_back);
    OPEN_RUN(folds_are_even_also_within_labels);
    OPEN_RUN(files_are_saved_and_loaded);
    OPEN_RUN(no_memory_leaves_nothing_behind);
    return check_done();
}
