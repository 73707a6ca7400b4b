# links.sh -- for scripts that include it: counts of what passed and failed, and do the links of a
# page lead somewhere?
passed=0
failed=0
result() { # what, what is wrong with it or nothing
    if [ -z "$2" ]; then passed=$((passed + 1)); return; fi
    failed=$((failed + 1))
    echo "$1: $2"
}

anchors() { # of a page, as GitHub makes them of headings, and those it names itself
    sed -n 's/^##* *//p' "$1" | tr 'A-Z' 'a-z' | sed 's/[^a-z0-9 _-]//g; s/ /-/g'
    grep -o '<a id="[^"]*"' "$1" | sed 's/^<a id="//; s/"$//'
}

links() { # page: files and anchors exist
    bad=
    for link in $(awk '/^```/ { c = !c } !c' "$1" | grep -o '](\([^) ]*\))' | sed 's/^](//; s/)$//'); do
        case $link in http*) continue ;; esac
        file=${link%%#*}
        to=$(dirname "$1")/$file
        [ -n "$file" ] || to=$1
        if [ ! -e "$to" ]; then bad="$bad no file $link;"; continue; fi
        case $link in
        *#*) anchors "$to" | grep -qx -e "${link#*#}" || bad="$bad no section $link;" ;;
        esac
    done
    result "$1, links" "$bad"
}
