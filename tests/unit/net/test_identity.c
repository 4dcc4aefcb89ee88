/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/net/net_support.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/base/macro.h"

static void write_key(const struct net_dir *d, const char *text)
{
	int fd = open(net_dir_file(d, "device.key"),
		      O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void test_made_once(void **state)
{
	cleanup(buf_release) struct buf why = BUF_INIT;
	struct identity a, b;
	struct device device;
	struct net_dir d;
	struct stat st;

	(void)state;
	net_dir_init(&d);
	umask(0);
	assert_int_equal(identity_device(d.path, &why, &device), -ENOENT);
	assert_int_equal(access(net_dir_file(&d, "device.key"), F_OK), -1);
	assert_int_equal(identity_open(d.path, &why, &a), 0);
	assert_int_equal(stat(net_dir_file(&d, "device.key"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(access(net_dir_file(&d, "device.key.new"), F_OK), -1);
	assert_int_equal(identity_open(d.path, &why, &b), 0);
	assert_true(device_equal(&a.device, &b.device));
	assert_int_equal(identity_device(d.path, &why, &device), 0);
	assert_true(device_equal(&a.device, &device));
	identity_close(&a);
	identity_close(&b);
	net_dir_release(&d);
}

/* A crash while it was written leaves a half file beside the name. */
static void test_left_over(void **state)
{
	cleanup(buf_release) struct buf why = BUF_INIT;
	struct identity a;
	struct net_dir d;
	int fd;

	(void)state;
	net_dir_init(&d);
	fd = open(net_dir_file(&d, "device.key.new"), O_WRONLY | O_CREAT, 0400);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(identity_open(d.path, &why, &a), 0);
	identity_close(&a);
	net_dir_release(&d);
}

static void test_open_to_others(void **state)
{
	cleanup(buf_release) struct buf why = BUF_INIT;
	struct identity a;
	struct net_dir d;

	(void)state;
	net_dir_init(&d);
	assert_int_equal(identity_open(d.path, &why, &a), 0);
	identity_close(&a);
	assert_int_equal(chmod(net_dir_file(&d, "device.key"), 0640), 0);
	assert_int_equal(identity_open(d.path, &why, &a), -EPERM);
	assert_true(why.len > 0);
	assert_int_equal(chmod(net_dir_file(&d, "device.key"), 0600), 0);
	if (!geteuid()) {
		assert_int_equal(chown(net_dir_file(&d, "device.key"), 65534,
				       65534), 0);
		assert_int_equal(identity_open(d.path, &why, &a), -EPERM);
	}
	net_dir_release(&d);
}

static void test_not_a_key(void **state)
{
	static const char *const texts[] = {
		"", "nonsense\n",
		"-----BEGIN PRIVATE KEY-----\nAAAA\n"
		"-----END PRIVATE KEY-----\n",
	};
	struct identity a;
	struct net_dir d;

	(void)state;
	net_dir_init(&d);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		cleanup(buf_release) struct buf why = BUF_INIT;

		write_key(&d, texts[i]);
		assert_int_equal(identity_open(d.path, &why, &a), -EBADMSG);
		assert_true(why.len > 0);
	}
	net_dir_release(&d);
}

static void test_missing_directory(void **state)
{
	cleanup(buf_release) struct buf why = BUF_INIT;
	struct identity a;
	struct net_dir d;

	(void)state;
	net_dir_init(&d);
	assert_int_equal(identity_open(net_dir_file(&d, "none"), &why, &a),
			 -ENOENT);
	assert_true(why.len > 0);
	net_dir_release(&d);
}

static void test_sign(void **state)
{
	struct identity a;
	uint8_t signature[64];
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	(void)state;
	net_identity_init(&a);
	assert_int_equal(identity_sign(&a, SLICE_STR("hello"), signature), 0);
	assert_int_equal(EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, a.key),
			 1);
	assert_int_equal(EVP_DigestVerify(ctx, signature, sizeof(signature),
					  (const uint8_t *)"hello", 5), 1);
	EVP_MD_CTX_free(ctx);
	identity_close(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_made_once),
		cmocka_unit_test(test_left_over),
		cmocka_unit_test(test_open_to_others),
		cmocka_unit_test(test_not_a_key),
		cmocka_unit_test(test_missing_directory),
		cmocka_unit_test(test_sign),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
