/* proto/auth.h: mysql_native_password on both sides, and the bytes of a scramble. The only user of
 * OpenSSL in proto/. Callers wipe what they need no longer (mem_wipe): stage1 is as good as the
 * password.
 *
 *   stage1 = SHA1(password)   stage2 = SHA1(stage1), which mysql.user stores as "*" and 40 hex
 * digits token  = stage1 XOR SHA1(scramble + stage2) An empty password has no token: the client
 * sends 0 bytes, and the server compares nothing.
 */
#ifndef MARGAY_PROTO_AUTH_H
#define MARGAY_PROTO_AUTH_H
#include "base/base.h"

#define AUTH_SCRAMBLE 20

/* Random bytes 1 to 127 without '$' (it separates fields in later methods); 7 bits since old
 * connectors read the scramble as ASCII text. 0 or ERR_SYSTEM. */
MUST_CHECK int auth_scramble_new(u8 scramble[AUTH_SCRAMBLE]);
/* Panics if libcrypto refuses SHA-1 (a FIPS-only build): no login could ever succeed. */
void auth_sha1(const void *p, size_t n, u8 out[20]);
void auth_native_stage1(const char *password, size_t len, u8 stage1[20]);
void auth_native_stage2(const u8 stage1[20], u8 stage2[20]);
void auth_native_token(const u8 stage1[20], const u8 scramble[AUTH_SCRAMBLE], u8 token[20]);
/* Is token the answer to scramble of who knows the password behind stage2? If so, stage1_r is what
 * logs in to a server with the same hash; if not, it is all zeros. Takes the same time either way.
 */
bool auth_native_check(const u8 token[20], const u8 stage2[20], const u8 scramble[AUTH_SCRAMBLE],
		       u8 stage1_r[20]);
/* "*" and 40 hex digits of either case. 0 or ERR_INVAL. */
MUST_CHECK int auth_hash_parse(const char *text, u8 stage2[20]);
#endif
