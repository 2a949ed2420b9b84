#!/bin/sh
# The sample configuration holds every option, and margayd takes it when every default in it is written out.
opts=$(sed -n 's/^OPT_[A-Z]*([A-Z]*, \([a-z_0-9]*\),.*/\1/p' "$top_srcdir/tbl/options.def" | sort)
here=$(sed -n 's/^#\([a-z_0-9]*\) =.*/\1/p' doc/margay.conf.sample | sort)
if [ "$opts" != "$here" ]; then
	echo "options of tbl/options.def and of the sample differ"
	exit 1
fi
conf=$(mktemp) || exit 99
trap 'rm -f "$conf"' EXIT
sed -e 's/^#\(\[.*\]\)$/\1/' -e 's/^#\([a-z_0-9]* = .*\)$/\1/' \
	-e 's/^#address =$/address = 127.0.0.1:3307/' -e 's/^#servers =$/servers = db1/' \
	-e 's/^#monitor_user =$/monitor_user = margay/' -e 's/^#cluster =$/cluster = main/' \
	-e 's/^#shard =$/shard = s0/' -e 's/^#database =$/database = shop_0/' -e 's/^#shards =$/shards = s0/' -e 's/^#key =$/key = id/' \
	-e 's/^#password =$/password = "x y"/' doc/margay.conf.sample >"$conf"
if ! ./margayd -t -c "$conf"; then
	echo "margayd refuses the defaults"
	exit 1
fi
# As it is, it lacks what is required: that is said, and nothing else.
out=$(sed -e 's/^#\(\[.*\]\)$/\1/' doc/margay.conf.sample >"$conf"; ./margayd -t -c "$conf" 2>&1) && {
	echo "sections without what they require were taken"
	exit 1
}
for w in address servers cluster monitor_user; do
	echo "$out" | grep -q "$w" || { echo "not a word about $w: $out"; exit 1; }
done
command -v dot >/dev/null || exit 0
dot -Tsvg doc/states.dot >/dev/null
