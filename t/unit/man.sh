#!/bin/sh
# Manual pages: no errors or warnings of mandoc; every option, counter and program option is in its page.
command -v mandoc >/dev/null || { echo "mandoc is not installed"; exit 77; }
rc=0
for p in man/margayd.8 man/margay.conf.5 man/margay-stat.1 man/margayctl.1 man/margay-counters.7; do
	out=$(mandoc -T lint -W warning "$p" 2>&1 | grep -v "referenced manual not found")
	if [ -n "$out" ]; then
		echo "$out"
		rc=1
	fi
	if grep -n '^@GEN\|@[A-Z]*@' "$p"; then
		echo "$p: a placeholder is left"
		rc=1
	fi
done

# What a page must name, word by word.
need() { # page word...
	page=$1
	shift
	text=$(mandoc -T ascii "$page" | col -b 2>/dev/null || mandoc -T ascii "$page" | sed 's/.\x08//g')
	for w in "$@"; do
		case "$text" in
		*"$w"*) ;;
		*) echo "$page does not tell of $w"; rc=1 ;;
		esac
	done
}
opts=$(sed -n 's/^OPT_[A-Z]*([A-Z]*, \([a-z_0-9]*\),.*/\1/p' "$top_srcdir/tbl/options.def")
[ "$(echo "$opts" | wc -l)" -gt 40 ] || { echo "options are not found"; rc=1; }
need man/margay.conf.5 $opts
ctrs=$(sed -n 's/^CTR_[A-Z]*(\([a-z_]*\),.*/\1/p' "$top_srcdir/tbl/counters.def")
[ "$(echo "$ctrs" | wc -l)" -gt 40 ] || { echo "counters are not found"; rc=1; }
need man/margay-counters.7 $ctrs
# The options in the help texts of the programs are those of their pages.
for prog in margay-stat:man/margay-stat.1 margayctl:man/margayctl.1 margayd:man/margayd.8; do
	[ -x "./${prog%%:*}" ] || { echo "${prog%%:*} is not built"; rc=1; continue; }
	words=$("./${prog%%:*}" --help | grep -o -e '--[a-z][a-z-]*' | sort -u)
	[ -n "$words" ] || { echo "${prog%%:*} --help names no options"; rc=1; }
	need "${prog#*:}" $words
done
exit $rc
