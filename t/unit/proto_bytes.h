/* t/unit/proto_bytes.h: bodies of packets as real peers sent them over loopback, for tests and fuzzing
 * corpora. Use with BYTES(), which leaves out the NUL that C adds.
 */
#ifndef MARGAY_T_UNIT_PROTO_BYTES_H
#define MARGAY_T_UNIT_PROTO_BYTES_H

/* greeting of MariaDB 10.11.19 */
#define REAL_GREETING \
	"\x0a" "5.5.5-10.11.19-MariaDB-0+deb12u1\x00\x05\x00\x00\x00" "d0]glkS>\x00\xfe" \
	"\xf7\x08\x02\x00\xff\x81\x15\x00\x00\x00\x00\x00\x00\x1d\x00\x00\x00zn7g!jw6D5" \
	"y%\x00mysql_native_password\x00"

/* mariadb 10.11 command line: user n, password geheim, database test */
#define REAL_RESPONSE_CLI \
	"\x8c\xa2\xbf\x00\x00\x00\x10\x00!\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" \
	"\x00\x00\x00\x00\x00\x00\x00\x00\x1d\x00\x00\x00n\x00\x14\xf6\xac\xbc\xe1\xd1\x3a\xa8\x62\xa2\x88" \
	"\x2c\x84\xa2\x5a\x3a\xda\xbc\xd7\xc5\x44" "test\x00mysql_native_password\x00" \
	"\x7f\x03_os\x05Linux\x0c_client_name\x0alibmariadb\x04_pid\x05" "20997\x0f_cli" \
	"ent_version\x06" "3.3.20\x09_platform\x06x86_64\x0cprogram_name\x05mysql\x0c_s" \
	"erver_host\x09" "127.0.0.1"

/* the same: user e, no password, no database */
#define REAL_RESPONSE_NOPW \
	"\x84\xa2\xbf\x00\x00\x00\x10\x00!\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" \
	"\x00\x00\x00\x00\x00\x00\x00\x00\x1d\x00\x00\x00" "e\x00\x00mysql_native_passw" \
	"ord\x00\x7f\x03_os\x05Linux\x0c_client_name\x0alibmariadb\x04_pid\x05" "20998" \
	"\x0f_client_version\x06" "3.3.20\x09_platform\x06x86_64\x0cprogram_name\x05mys" \
	"ql\x0c_server_host\x09" "127.0.0.1"

/* PyMySQL 1.0.2: user n, password geheim, database test */
#define REAL_RESPONSE_PYMYSQL \
	"\x0d\xa2:\x00\xff\xff\xff\x00-\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" \
	"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00n\x00\x14\xf6\xac\xbc\xe1\xd1\x3a\xa8\x62\xa2\x88" \
	"\x2c\x84\xa2\x5a\x3a\xda\xbc\xd7\xc5\x44" "test\x00mysql_native_password\x00" "6" \
	"\x0c_client_name\x07pymysql\x04_pid\x05" "21000\x0f_client_version\x05" "1.0.2"

/* authentication switch of MariaDB 10.11.19 */
#define REAL_SWITCH \
	"\xfemysql_native_password\x00~rB3w!74=uW4;m3V6IO2\x00"

/* OK of a login with a database, SESSION_TRACK */
#define REAL_OK_SCHEMA \
	"\x00\x00\x00\x02@\x00\x00\x00\x07\x01\x05\x04test"

/* SET autocommit=0, sql_mode="", time_zone="+00:00", all variables and state changes tracked */
#define REAL_OK_VARS \
	"\x00\x00\x00\x00@\x00\x00\x00" "3\x00\x0f\x0a" "autocommit\x03OFF\x00\x11\x09t" \
	"ime_zone\x06+00:00\x00\x0a\x08sql_mode\x00\x02\x01" "1"

/* BEGIN with session_track_transaction_info=CHARACTERISTICS */
#define REAL_OK_BEGIN \
	"\x00\x00\x00\x03@\x00\x00\x00 \x05\x09\x08T_______\x04\x13\x12START TRANSACTIO" \
	"N;"

/* the OK that ends the rows of a SELECT inside it */
#define REAL_OK_ROWS_END \
	"\xfe\x00\x00#@\x00\x00\x00\x0b\x05\x09\x08Tr___sS_"

/* COMMIT: the characteristics become empty */
#define REAL_OK_COMMIT \
	"\x00\x00\x00\x02@\x00\x00\x00\x0e\x05\x09\x08________\x04\x01\x00"

/* UPDATE with and without SESSION_TRACK */
#define REAL_OK_INFO \
	"\x00\x02\x00\"\x00\x00\x00(Rows matched: 2  Changed: 2  Warnings: 0"

/* too many connections, in place of a greeting */
#define REAL_ERR_1040 \
	"\xff\x10\x04Too many connections"

/* login refused */
#define REAL_ERR_1045 \
	"\xff\x15\x04#28000Access denied for user 'n'@'localhost' (using password: YES)"

/* column definition of SELECT 1 */
#define REAL_COLUMN \
	"\x03" "def\x00\x00\x00\x01" "1\x00\x0c\?\x00\x01\x00\x00\x00\x03\x81\x00\x00" \
	"\x00\x00"

/* PREPARE of SELECT ?,? */
#define REAL_PREPARE_OK \
	"\x00\x01\x00\x00\x00\x02\x00\x02\x00\x00\x00\x00"
#endif
