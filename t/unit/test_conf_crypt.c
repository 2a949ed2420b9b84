/* Unit tests of conf/crypt and conf/cpus: key files, encrypted secrets in a configuration, quotas
 * of a cgroup. */
#include "t/unit/test_conf.h"
#include "conf/cpus.h"
#include "conf/crypt.h"

static struct conf_test t;

static void
init(void)
{
	test_begin(&t);
}
static void
fini(void)
{
	test_end(&t);
}
TestSuite(crypt, .init = init, .fini = fini);

static struct crypt_key
key_new(const char *name)
{
	struct crypt_key k;
	char why[256];

	cr_assert_null(crypt_key_make(test_path(&t, name), why, sizeof why), "%s", why);
	cr_assert_null(crypt_key_read(test_path(&t, name), &k, why, sizeof why), "%s", why);
	return k;
}

Test(crypt, round_trip)
{
	struct crypt_key k = key_new("key"), other = key_new("key2");
	char text[CRYPT_TEXT_SIZE], again[CRYPT_TEXT_SIZE], secret[CRYPT_SECRET_MAX + 1],
	    back[CRYPT_SECRET_MAX + 1];
	size_t len;

	memset(secret, 's', sizeof secret);
	for (size_t n = 0; n <= CRYPT_SECRET_MAX; n += n < 20 ? 1 : 251) {
		cr_assert_eq(crypt_encrypt(&k, secret, n, text), 0);
		cr_expect_lt(strlen(text), sizeof text);
		cr_expect_eq(strncmp(text, "{aes}", 5), 0);
		cr_assert_eq(crypt_decrypt(&k, text, back, &len), 0);
		cr_expect_eq(len, n);
		cr_expect_eq(memcmp(back, secret, n), 0);
		cr_expect_eq(crypt_decrypt(&other, text, back, &len), ERR_ACCESS);
		cr_assert_eq(crypt_encrypt(&k, secret, n, again), 0);
		cr_expect_str_neq(text, again, "the nonce repeats");
	}
	cr_expect_eq(crypt_encrypt(&k, secret, CRYPT_SECRET_MAX + 1, text), ERR_INVAL);
}

Test(crypt, any_changed_character_is_noticed)
{
	struct crypt_key k = key_new("key");
	char text[CRYPT_TEXT_SIZE], back[CRYPT_SECRET_MAX + 1];
	size_t len, n;

	cr_assert_eq(crypt_encrypt(&k, "hunter22", 8, text),
		     0); /* 36 bytes: base64 without padding */
	n = strlen(text);
	for (size_t i = 0; i < n; i++) {
		char was = text[i];

		text[i] = was == 'A' ? 'B' : 'A';
		cr_expect_neq(crypt_decrypt(&k, text, back, &len), 0, "at %zu", i);
		text[i] = was;
		text[i] = ' ';
		cr_expect_eq(crypt_decrypt(&k, text, back, &len), ERR_INVAL, "at %zu", i);
		text[i] = '\0';
		cr_expect_neq(crypt_decrypt(&k, text, back, &len), 0, "at %zu", i);
		text[i] = was;
	}
	cr_expect_eq(crypt_decrypt(&k, text, back, &len), 0);
	cr_expect_eq(crypt_decrypt(&k, "{aes}", back, &len), ERR_INVAL);
	cr_expect_eq(crypt_decrypt(&k, "{aes}====", back, &len), ERR_INVAL);
	cr_expect_eq(crypt_decrypt(&k, "hunter2", back, &len), ERR_INVAL);
}

static void
key_refused(const char *text, mode_t mode, const char *because)
{
	struct crypt_key k;
	char why[256];
	const char *rc;

	test_file_bytes(&t, "bad", text, strlen(text), mode);
	rc = crypt_key_read(test_path(&t, "bad"), &k, why, sizeof why);
	cr_assert_not_null(rc, "%s", text);
	cr_expect_not_null(strstr(rc, because), "%s", rc);
}

#define HEX64 "0123456789abcdef0123456789ABCDEF0123456789abcdef0123456789ABCDEF"
Test(crypt, key_files)
{
	struct crypt_key k;
	struct stat st;
	char why[256];

	(void)key_new("key");
	cr_assert_eq(stat(test_path(&t, "key"), &st), 0);
	cr_expect_eq(st.st_mode & 0777, 0600);
	cr_expect_eq(st.st_size, 65);
	cr_expect_not_null(crypt_key_make(test_path(&t, "key"), why, sizeof why), "overwritten");
	key_refused(HEX64, 0640, "others than its owner may read the key");
	key_refused(HEX64, 0604, "others than its owner may read the key");
	key_refused("", 0600, "64 hex digits");
	key_refused(HEX64 "0", 0600, "64 hex digits");
	key_refused("x" HEX64, 0600, "64 hex digits");
	key_refused("g123456789abcdef0123456789ABCDEF0123456789abcdef0123456789ABCDEF", 0600,
		    "64 hex digits");
	cr_expect_not_null(crypt_key_read(test_path(&t, "none"), &k, why, sizeof why));
	cr_expect_not_null(strstr(why, "No such file"));
	cr_expect_not_null(crypt_key_read(t.dir, &k, why, sizeof why));
	test_file(&t, "crlf", HEX64 "\r\n");
	cr_expect_null(crypt_key_read(test_path(&t, "crlf"), &k, why, sizeof why));
}

Test(crypt, secrets_in_a_configuration)
{
	struct crypt_key k = key_new("key");
	char good[CRYPT_TEXT_SIZE], nul[CRYPT_TEXT_SIZE], text[8192];
	struct conf_args a = {.cpus = 1};

	cr_assert_eq(crypt_encrypt(&k, "{ s3;cret \"", 11, good), 0);
	cr_assert_eq(crypt_encrypt(&k, "a\0b", 3, nul), 0);
	(void)snprintf(text, sizeof text,
		       "[margay]\nkey_file = %s/key\n" GOOD_SERVER GOOD_CLUSTER
		       "monitor_password = %s\n"
		       "[user a]\ncluster = main\npassword = \"%s\" ; quoted\n",
		       t.dir, good, good);
	/* anyone may read it: nothing in it is plain */
	test_file_bytes(&t, "margay.conf", text, strlen(text), 0644);
	cr_expect_eq(test_load_as(&t, &a), 0);
	EXPECT_MESSAGES(&t, "");
	cr_expect_str_eq(cfg_secret_text(&t.cfg, cfg_users(&t.cfg)[0].password), "{ s3;cret \"");
	cr_expect_str_eq(cfg_secret_text(&t.cfg, cfg_clusters(&t.cfg)[0].monitor_password),
			 "{ s3;cret \"");
	cr_expect_null(memmem(t.r.snap.cfg, t.r.snap.cfg_size, "s3;cret", 7),
		       "a secret in the open snapshot");

	(void)snprintf(
	    text, sizeof text,
	    "[margay]\nkey_file = %s/key\n" GOOD_SERVER GOOD_CLUSTER
	    "monitor_password = %s\n"                                 /* 8 */
	    "[user a]\ncluster = main\npassword = {aes}AAAA\n"        /* 11 */
	    "[user b]\ncluster = main\npassword = {aes}%.20sAAAA%s\n" /* 14 */
	    "[user c]\ncluster = main\npassword = ok\nbackend_password = {aes}not base64\n", /* 18
											      */
	    t.dir, nul, good + 5, good + 29);
	EXPECT_LOAD(
	    &t, text,
	    "D/margay.conf:8: error: monitor_password: not what margayctl encrypt writes\n"
	    "D/margay.conf:11: error: password: not what margayctl encrypt writes\n"
	    "D/margay.conf:14: error: password: cannot be decrypted: another key, or the text was "
	    "changed\n"
	    "D/margay.conf:18: error: backend_password: not what margayctl encrypt writes\n");
}

Test(crypt, key_file_errors_are_told_once)
{
	struct crypt_key k = key_new("key");
	char good[CRYPT_TEXT_SIZE], text[4096];

	cr_assert_eq(crypt_encrypt(&k, "x", 1, good), 0);
	(void)snprintf(text, sizeof text,
		       GOOD_SERVER GOOD_CLUSTER "monitor_password = %s\n[user a]\ncluster = main\n"
						"password = %s\n",
		       good, good);
	EXPECT_LOAD(&t, text, "D/margay.conf:6: error: encrypted, but [margay] has no key_file\n");
	(void)snprintf(text, sizeof text,
		       GOOD_SERVER GOOD_CLUSTER
		       "monitor_password = %s\n[margay]\nkey_file = %s/none\n" GOOD_USER,
		       good, t.dir);
	EXPECT_LOAD(&t, text,
		    "D/margay.conf:8: error: key_file: D/none: No such file or directory\n");
	cr_assert_eq(chmod(test_path(&t, "key"), 0644), 0);
	(void)snprintf(text, sizeof text,
		       GOOD_SERVER GOOD_CLUSTER
		       "monitor_password = %s\n[margay]\nkey_file = %s/key\n" GOOD_USER,
		       good, t.dir);
	EXPECT_LOAD(&t, text,
		    "D/margay.conf:8: error: key_file: D/key: others than its owner may read the "
		    "key: chmod 600 it\n");
}

Test(crypt, cpu_quotas)
{
	cr_assert_eq(mkdir(test_path(&t, "a"), 0700), 0);
	cr_assert_eq(mkdir(test_path(&t, "a/b"), 0700), 0);
	cr_expect_eq(cpus_quota(t.dir, "/a/b"), UINT32_MAX);
	test_file(&t, "a/b/cpu.max", "max 100000\n");
	cr_expect_eq(cpus_quota(t.dir, "/a/b"), UINT32_MAX);
	test_file(&t, "a/b/cpu.max", "250000 100000\n");
	cr_expect_eq(cpus_quota(t.dir, "/a/b"), 3);
	test_file(&t, "a/cpu.max", "50000 100000\n");
	cr_expect_eq(cpus_quota(t.dir, "/a/b"), 1);
	cr_expect_eq(cpus_quota(t.dir, "/a/b/c"), 1);
	test_file(&t, "a/cpu.max", "nonsense\n");
	cr_expect_eq(cpus_quota(t.dir, "/a/b"), 3);
	test_file(&t, "cpu.max", "100000 100000\n");
	cr_expect_eq(cpus_quota(t.dir, ""), 1);
	cr_expect_geq(cpus_usable(), 1);
}
