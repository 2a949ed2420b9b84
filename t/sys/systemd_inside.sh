#!/bin/bash
# t/sys/systemd_inside.sh: runs inside the booted tree of systemd.sh as its only job: a MariaDB server, then
# margay.service started, reloaded, killed, watched and stopped through systemctl. Prints results to stdout.
set -u
conf=$1
passed=0 failed=0

# check NAME COMMAND...: one result
check()
{
	local name=$1 out

	shift
	if out=$("$@" 2>&1); then
		echo "ok   $name"
		passed=$((passed + 1))
	else
		echo "FAIL $name"
		echo "$out" | sed 's/^/     /' | tail -n 20
		journalctl -u margay -n 15 --no-pager 2>/dev/null | sed 's/^/     /'
		failed=$((failed + 1))
	fi
}

# until_true SECONDS COMMAND...
until_true()
{
	local end=$((SECONDS + $1))

	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.1
	done
}

main_pid()
{
	systemctl show -p MainPID --value margay
}

workers()
{
	pgrep -f margay-worker | sort -n | tr '\n' ' '
}

ask()
{
	MYSQL_PWD=quick mariadb --no-defaults -N -h 127.0.0.1 -P 3307 -u app -e "${1:-SELECT 40 + 2}"
}

serves()
{
	[ "$(ask)" = 42 ]
}

write_conf()
{
	cat >$conf <<-CONF
		[margay]
		listen  = 127.0.0.1:3307
		workers = 2
		hang_timeout = 2s
		$1
		[server db1]
		address = 127.0.0.1:3306
		[cluster main]
		topology = standalone
		servers = db1
		monitor_user = mon
		monitor_password = mon
		[user app]
		password = quick
		cluster = main
	CONF
	chown root:margay $conf
	chmod 640 $conf
}

start_server()
{
	ip link set lo up 2>/dev/null
	mkdir -p /srv/db && chown nobody /srv/db
	cd /srv/db || return 1
	setpriv --reuid nobody --clear-groups mariadb-install-db --no-defaults --datadir=/srv/db/data --tmpdir=/srv/db \
		--auth-root-authentication-method=normal --skip-test-db --skip-name-resolve --force || return 1
	systemd-run --unit=db -p User=nobody mariadbd --no-defaults --datadir=/srv/db/data --tmpdir=/srv/db \
		--socket=/srv/db/s --port=3306 --bind-address=127.0.0.1 --skip-name-resolve --performance-schema=off || return 1
	until_true 40 mariadb --no-defaults -u root -S /srv/db/s -e "SELECT 1" || return 1
	mariadb --no-defaults -u root -S /srv/db/s -e "CREATE USER mon@'%' IDENTIFIED BY 'mon';
		GRANT SLAVE MONITOR, CONNECTION ADMIN, TRIGGER ON *.* TO mon@'%'; CREATE USER app@'%' IDENTIFIED BY 'quick'"
}

start_service()
{
	systemctl start margay && [ "$(systemctl is-active margay)" = active ] && until_true 10 serves
}

not_root()
{
	local p

	for p in $(main_pid) $(workers); do
		[ "$(stat -c %U "/proc/$p")" != root ] || { echo "process $p runs as root"; return 1; }
	done
}

reload_good()
{
	write_conf "log_level = info" && systemctl reload margay && serves
}

reload_broken()
{
	local before=$(main_pid)

	write_conf "log_levle = info"
	! systemctl reload margay && [ "$(main_pid)" = "$before" ] && serves
	local rc=$?
	write_conf ""
	systemctl reset-failed margay 2>/dev/null
	[ $rc = 0 ] && [ "$(systemctl is-active margay)" = active ] &&
		journalctl -u margay --no-pager | grep -q "log_levle"
}

reload_after_broken()
{
	systemctl reload margay && serves
}

kill_worker()
{
	local victim=$(workers | cut -d' ' -f1) master=$(main_pid)

	kill -9 "$victim"
	until_true 10 serves && until_true 20 two_workers && [ "$(main_pid)" = "$master" ]
}

two_workers()
{
	[ "$(workers | wc -w)" = 2 ]
}

# The workers go on serving until the master that systemd starts has its own.
kill_master()
{
	local old=$(main_pid)

	kill -9 "$old"
	serves || { echo "not served just after the master's death"; return 1; }
	until_true 30 new_master "$old" && until_true 10 serves
}

new_master()
{
	[ "$(systemctl is-active margay)" = active ] && [ "$(main_pid)" != "$1" ] && [ "$(main_pid)" != 0 ]
}

# A master that stands still is ended by systemd's watchdog and started again (in the unit: after 30 s).
watchdog()
{
	local old=$(main_pid)

	kill -STOP "$old"
	until_true 90 new_master "$old" && until_true 10 serves &&
		journalctl -u margay --no-pager | grep -q -i watchdog
}

stop_service()
{
	systemctl stop margay && [ "$(systemctl is-active margay)" != active ] && ! serves && until_true 40 no_processes
}

no_processes()
{
	! pgrep -f 'margayd|margay-worker|margay-health' >/dev/null
}

journal()
{
	journalctl -u margay --no-pager -o cat | grep -q -i "worker" &&
		journalctl -u margay --no-pager -p err -o cat | grep -q "log_levle"
}

no_secrets()
{
	! journalctl --no-pager -o cat | grep -q -E 'password *= *(quick|mon)'
}

verify_unit()
{
	systemd-analyze verify --man=no margay.service
}

mkdir -p /etc/systemd/system/margay.service.d
printf '[Service]\nWatchdogSec=6s\n' >/etc/systemd/system/margay.service.d/test.conf
systemctl daemon-reload
systemd-sysusers
systemd-tmpfiles --create
write_conf ""
check "MariaDB server" start_server
if [ $failed != 0 ]; then
	echo "$passed passed, $failed failed, 0 skipped"
	exit 1
fi
check "systemd-analyze verify" verify_unit
check "start" start_service
check "not root" not_root
check "status" margayctl status
check "reload of a good file" reload_good
check "reload of a broken file fails, the service goes on" reload_broken
check "reload after it" reload_after_broken
check "kill -9 of a worker" kill_worker
check "kill -9 of the master" kill_master
check "watchdog" watchdog
check "stop" stop_service
check "start again" start_service
check "journal" journal
check "no secrets in the journal" no_secrets
echo "$passed passed, $failed failed, 0 skipped"
