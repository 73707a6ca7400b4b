# sentences.pl -- what tests/sentences.sh does, in Perl.
#     list HEADER                       every sentence: line, kind, text
#     check HEADER GUIDE ERRORS EXCEPTIONS   each is in the documents, the documents have no other
#     mark HEADER > COPY                a header whose calls tell bnn__said their number
#     provoked HEADER LOG EXCEPTIONS    the calls and sentences that the log does not have
# A sentence is the format of a call of one of these, or a string of three words elsewhere.
use strict;
use warnings;
my $calls = join '|', qw(bnn__fail bnn__arena_fail bnn__arena_say bnn__io_fail bnn__csv_fail
    bnn__note bnn__arena_note bnn_tape_fail);
my $string = qr/"(?:\\.|[^"\\\n])*"/;
my $strings = qr/$string(?:\s*$string)*/;
my $paren;
$paren = qr/\((?:[^()"']++|$string|'(?:\\.|[^'\\\n])+'|(??{ $paren }))*\)/;

sub slurp { my ($f) = @_; local $/; open my $h, '<', $f or die "$f: $!\n"; return scalar <$h>; }

sub bare { # without comments, same lines and places
    my ($s) = @_;
    $s =~ s{(/\*.*?\*/)|($string|'(?:\\.|[^'\\\n])+')}
           {defined $1 ? do { (my $c = $1) =~ s/[^\n]/ /g; $c } : $2}gse;
    return $s;
}
sub line_of { my ($s, $at) = @_; return 1 + (substr($s, 0, $at) =~ tr/\n//); }
sub text_of { # "a" "b" -> ab
    my ($s) = @_;
    my $t = join '', map { substr $_, 1, -1 } $s =~ /$string/g;
    $t =~ s/\\(["\\])/$1/g;
    return $t;
}
sub words { my ($t) = @_; $t =~ s/%\w+/ /g; my @w = $t =~ /[A-Za-z_]{2,}/g; return scalar @w; }

# calls: { at, end, line, name, text or undef }; pieces: { line, text }
sub scan {
    my ($s) = @_;
    my $from = index $s, '#ifdef BNN_IMPLEMENTATION';
    $from = 0 if $from < 0;
    my (@calls, @pieces, %format);
    pos($s) = $from;
    while ($s =~ /\b($calls)\s*($paren)/g) {
        my ($name, $args, $at, $end) = ($1, $2, $-[0], $+[0]);
        next if $args =~ /const char \*/;                       # its definition
        my $text;
        if ($args =~ /$strings/) {
            my ($b, $e) = ($-[0], $+[0]);
            # the format, unless the first string is part of an expression
            if (substr($args, 0, $b) =~ /[,(]\s*$/) {
                $text = text_of(substr $args, $b, $e - $b);
                $format{$end - length($args) + $b} = 1;
            }
        }
        push @calls, { at => $at, end => $end, line => line_of($s, $at), name => $name,
                       text => $text };
    }
    my @source; # what is written to emitted files is no sentence
    pos($s) = $from;
    while ($s =~ /\bbnn__emit_(?:put|say)\s*$paren/g) { push @source, [$-[0], $+[0]]; }
    pos($s) = $from;
    while ($s =~ /$strings|'(?:\\.|[^'\\\n])+'/g) {
        my ($m, $at) = ($&, $-[0]);
        next if $m =~ /\$|"\s*"(?:\w+ alignof|acos acosh|basename bcmp)|^" alignas|%z inputs|root mean square|gap == |continue;/;
        next if grep { $at >= $_->[0] && $at < $_->[1] } @source;
        next if substr($m, 0, 1) eq "'" || $format{$at};
        my $start = rindex(substr($s, 0, $at), "\n") + 1;
        my $before = substr $s, $start, $at - $start;
        next if $before =~ /__asm__|_Pragma|__attribute__|^\s*#\s*(pragma|include|error)|printf/;
        next if $before =~ /bnn__io_\w+\(|BNN__FIELD|__asm/;    # names of fields of a file
        push @pieces, { line => line_of($s, $at), text => text_of($m) };
    }
    return (\@calls, \@pieces);
}

sub pattern { # of a format
    my ($t) = @_;
    my $number = '-?(?:[0-9][0-9.]*(?:e[-+]?[0-9]+)?|inf|nan)';
    return join '', map {
        /^%[zdu]$/ ? '-?[0-9]+' : /^%g$/ ? $number : /^%s$/ ? '.*' : $_ eq '%%' ? '%' : quotemeta
    } split /(%[zdugsc%])/, $t;
}

sub rows { # the sentences of a document's tables: `...` or ``...`` at the start of a row
    my ($file, $section) = @_;
    my ($on, $n, @rows) = (!defined $section, 0);
    for (split /\n/, slurp($file)) {
        $n++;
        $on = /^## \Q$section\E/ ? 1 : 0 if defined $section && /^## /;
        next unless $on && /^\| (`+) ?(.*?) ?\1 \|/;
        push @rows, { file => $file, line => $n, text => $2, row => $_ };
    }
    return @rows;
}

my ($what, $header, @rest) = @ARGV;
my $s = slurp($header);
my $bare = bare($s);
my ($said, $pieces) = scan($bare);
my (%seen, @sentences);
for (@$said) {
    next if !defined $_->{text} || words($_->{text}) < 2 && $_->{text} !~ /^bnn_\w+: |[a-z] %/
        || $_->{text} =~ /^\w*(: )?(%s: )*%s$/;                 # a carrier: "%s: %s"
    my $kind = $_->{name} =~ /note/ ? 'note' : $_->{name} eq 'bnn__csv_fail' ? 'piece' : 'error';
    push @sentences, { %$_, kind => $kind } unless $seen{"$kind$_->{text}"}++;
}
for (@$pieces) {
    next if words($_->{text}) < 3 || $_->{text} !~ / .* /;
    push @sentences, { %$_, kind => 'piece' } unless $seen{"piece$_->{text}"}++;
}
my ($passed, $failed) = (0, 0);
sub result { # a fault, or nothing
    my ($fault) = @_;
    if (defined $fault) { $failed++; print "$fault\n" } else { $passed++ }
}

if ($what eq 'list') {
    print "$_->{line}\t$_->{kind}\t$_->{text}\n" for @sentences;
    exit 0;
}
if ($what eq 'mark') {
    my $copy = $s;
    my $k = $#$said;
    for (reverse @$said) { # from the end, so that places stay
        substr($copy, $_->{end}, 0) = ')';
        substr($copy, $_->{at}, 0) = "(bnn__said($k), ";
        $k--;
    }
    # every sentence that is made, as it is
    $copy =~ s/\bbnn__vformat\(((?:mem|t)->msg|text), fmt, args\);/$& bnn__said_text($1);/g;
    print "void bnn__said(int k);\nvoid bnn__said_text(const char *text);\n";
    print "#line 1 \"bnn.h\"\n$copy";
    exit 0;
}
sub exceptions { # lines "sentence TAB reason"
    my @e;
    for (split /\n/, slurp($_[0])) {
        push @e, { text => $1, why => $2 } if /^([^#\t][^\t]*)\t+(.+)$/;
    }
    return @e;
}
if ($what eq 'check') {
    my %never = map { $_->{text} => 1 } grep { $_->{why} =~ /^never said/ } exceptions($rest[2]);
    my @guide = rows($rest[0], 'Errors and notes');
    my @all = (@guide, rows($rest[1]));
    my @p = map { pattern($_) }
        grep { /[a-z]{6}|[a-z] |: |%zx%z/ && !/^(%s: )*%s$/ && !/^%s: byte %z: %s$/ }
        map { $_->{text} } grep { defined $_->{text} } @$said, @$pieces;
    my $any = join '|', map { "(?:$_)" } @p;
    my @strange = grep { $_->{text} !~ /^(?:.*: )?(?:$any)$/ } @all;
    $passed += @all - @strange;
    for my $x (grep { !$never{$_->{text}} } @sentences) {
        my $p = pattern($x->{text});
        my $whole = $x->{kind} eq 'piece' ? qr/$p/ : qr/^(?:.*: )?$p$/;
        my $in = $x->{kind} eq 'note' && $x->{text} !~ /^bnn_fit/ ? \@guide : \@all;
        my $found = grep { ($x->{kind} eq 'piece' ? $_->{row} : $_->{text}) =~ $whole } @$in;
        my ($like, $best) = ('', 1);                            # the row that it may have replaced
        for my $row ($found ? () : @strange) {
            my %w = map { $_ => 1 } $row->{text} =~ /[A-Za-z_]{2,}/g;
            my $common = grep { $w{$_} } $x->{text} =~ /[A-Za-z_]{2,}/g;
            ($like, $best) = ("    in place of $row->{file}:$row->{line}?", $common)
                if $common > $best;
        }
        result($found ? undef : "$header:$x->{line}: not documented: $x->{text}$like");
    }
    result("$_->{file}:$_->{line}: the header does not say: $_->{text}") for @strange;
} elsif ($what eq 'provoked') {
    my (%called, @texts);
    for (split /\n/, slurp($rest[0])) {
        if (/^#(\d+)$/) { $called{$1} = 1 } else { push @texts, $_ }
    }
    my %once;
    @texts = grep { !$once{$_}++ } @texts;
    my @except = exceptions($rest[1]);
    my %used;
    my $excused = sub {
        my ($t) = @_;
        for my $e (@except) { return $used{$e->{text}} = 1 if $e->{text} eq $t }
        return 0;
    };
    for my $k (0 .. $#$said) {
        my $c = $said->[$k];
        my $t = $c->{text}; # or, of a carrier, the whole call
        if (!defined $t || words($t) == 0) {
            $t = substr $bare, $c->{at}, $c->{end} - $c->{at};
            $t =~ s/\s+/ /g;
        }
        if ($called{$k}) { result(undef) }
        elsif ($excused->($t)) { print "excused: $header:$c->{line}: $t\n" }
        else { result("$header:$c->{line}: no test provokes: $t") }
    }
    for my $x (grep { $_->{kind} eq 'piece' } @sentences) {
        my $p = pattern($x->{text});
        if (grep { /$p/ } @texts) { result(undef) }
        elsif ($excused->($x->{text})) { print "excused: $header:$x->{line}: $x->{text}\n" }
        else { result("$header:$x->{line}: no test provokes: $x->{text}") }
    }
    for my $e (@except) {
        result("$rest[1]: not needed: $e->{text}") unless $used{$e->{text}};
    }
}
print "$passed passed, $failed failed\n";
exit($failed != 0 || $passed == 0);
