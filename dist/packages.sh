# dist/packages.sh: sourced by ./quickstart and ./check. Installs what dist/packages.txt lists.

# install_packages PURPOSE...: nothing is run when all are there; apt-get update only when apt does not know one.
install_packages()
{
	local list missing=() p root=()

	list=$(for p in "$@"; do sed -n "s/^$p[[:space:]]*//p" "$(dirname "${BASH_SOURCE[0]}")/packages.txt"; done)
	for p in $list; do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || missing+=("$p")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	if [ "$(id -u)" != 0 ]; then
		command -v sudo >/dev/null || { echo "missing packages: ${missing[*]}; run this as root" >&2; return 1; }
		root=(sudo)
	fi
	echo "installing ${missing[*]}"
	# apt-get policy comes from the host: no service is started, as only -core packages are asked for
	if ! apt-cache show "${missing[@]}" >/dev/null 2>&1; then
		"${root[@]}" apt-get update -q >/dev/null || return 1
	fi
	apt_install "${root[@]}" || { "${root[@]}" apt-get update -q >/dev/null && apt_install "${root[@]}"; }
}

apt_install()
{
	"$@" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}" \
		>"${TMPDIR:-/tmp}/margay-apt.$$" 2>&1 </dev/null
	local rc=$?

	[ $rc = 0 ] || tail -n 20 "${TMPDIR:-/tmp}/margay-apt.$$" >&2
	rm -f "${TMPDIR:-/tmp}/margay-apt.$$"
	return $rc
}
