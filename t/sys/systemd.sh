#!/bin/bash
# t/sys/systemd.sh: the service under a real systemd. Makes a Debian 12 tree with debootstrap (kept as a tarball
# under ${XDG_CACHE_HOME:-~/.cache}/margay, made anew after 30 days), installs Margay and a MariaDB server into
# a copy of it, boots that copy in systemd-nspawn, where the unit margay-test.service runs the tests below,
# writes their results to a file and powers off. Needs root, debootstrap, systemd-container.
#   make check-systemd      (t/sys/systemd.sh PATH-OF-MARGAY.CONF)
set -u
top=$(cd "${top_srcdir:-$(dirname "$0")/../..}" && pwd)
build=$(cd "${top_builddir:-.}" && pwd)
cache=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/margay
conf=${1:-/etc/margay/margay.conf}
limit=240 # seconds that the booted system may take

skip()
{
	echo "skip systemd ($*)"
	echo "0 passed, 0 failed, 1 skipped"
	exit 77
}

[ "$(id -u)" = 0 ] || skip "needs root"
for p in debootstrap systemd-nspawn tar; do
	command -v $p >/dev/null || skip "$p is not installed"
done
[ -e "$build/margayd" ] || skip "margayd is not built"
work=$(mktemp -d /var/tmp/margay-systemd.XXXXXX)
trap 'rm -rf --one-file-system "$work"' EXIT
root=$work/root

# What runs inside: Margay's libraries, a server to talk to, and a client.
packages=systemd,systemd-sysv,dbus,libuv1,libmariadb3,libinih1,liblmdb0,libssl3,libxxhash0,mariadb-server-core
packages=$packages,mariadb-client-core,procps,util-linux,iproute2

base_tree()
{
	local name=bookworm-$(echo "$packages" | md5sum | cut -c1-8).tar
	local tar=$cache/$name

	mkdir -p "$cache"
	if [ -z "$(find "$cache" -name "$name" -mtime -30)" ]; then
		echo "    making a Debian 12 tree (kept in $cache)"
		debootstrap --variant=minbase --include="$packages" bookworm "$work/new" \
			"${DEBIAN_MIRROR:-http://deb.debian.org/debian}" >"$work/debootstrap.log" 2>&1 ||
			{ tail "$work/debootstrap.log"; skip "debootstrap failed"; }
		rm -rf "$work/new/var/cache/apt/archives" "$work/new/var/lib/apt/lists"
		tar -C "$work/new" -cf "$tar.part" . && mv "$tar.part" "$tar"
		rm -rf "$work/new"
	fi
	mkdir "$root" && tar -C "$root" -xf "$tar"
}

install_margay()
{
	make -s -C "$build" install DESTDIR="$root" >"$work/install.log" 2>&1 || { tail "$work/install.log"; return 1; }
	mkdir -p "$root/opt/test"
	[ -n "$(find "$root" -path '*lib/systemd/system/margay.service')" ] ||
		{ echo "make install installs no margay.service"; return 1; }
	cp "$top/t/sys/systemd_inside.sh" "$root/opt/test/run"
	chmod 755 "$root/opt/test/run"
	cat >"$root/etc/systemd/system/margay-test.service" <<-UNIT
		[Unit]
		Description=Tests of the Margay service
		After=multi-user.target
		[Service]
		Type=oneshot
		ExecStart=/opt/test/run $conf
		ExecStopPost=/bin/systemctl --no-block poweroff
		TimeoutStartSec=200
		StandardOutput=file:/opt/test/out
		StandardError=file:/opt/test/out
		[Install]
		WantedBy=default.target
	UNIT
	mkdir -p "$root/etc/systemd/system/default.target.wants"
	ln -sf ../margay-test.service "$root/etc/systemd/system/default.target.wants/margay-test.service"
	rm -f "$root/etc/machine-id" && : >"$root/etc/machine-id"
}

start=$SECONDS
base_tree || exit 1
install_margay || { echo "FAIL install"; echo "0 passed, 1 failed, 0 skipped"; exit 1; }
timeout -k 10 $limit systemd-nspawn -q -D "$root" --register=no --keep-unit --private-network -b \
	--console=pipe </dev/null >"$work/boot.log" 2>&1
rc=$?
if ! grep -q -E '^[0-9]+ passed' "$root/opt/test/out" 2>/dev/null; then
	echo "FAIL boot (systemd-nspawn: $rc)"
	tail -n 40 "$work/boot.log"
	[ -e "$root/opt/test/out" ] && cat "$root/opt/test/out"
	echo "0 passed, 1 failed, 0 skipped"
	exit 1
fi
cat "$root/opt/test/out"
echo "    $((SECONDS - start)) s"
grep -q ' 0 failed' "$root/opt/test/out"
