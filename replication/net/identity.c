/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The key file is written beside its name, synced and linked there, so that
 * a crash leaves a whole key or none, and two programs at once agree on one.
 *
 * The certificate is only a container for the key that TLS insists on: its
 * name and dates mean nothing and nobody looks at them.
 */
#include "replication/net/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/store/io.h"

#define KEY_FILE "device.key"
#define KEY_FILE_NEW "device.key.new"
/* Bytes of the file; an Ed25519 key as PEM has about 120. */
#define KEY_BYTES_MAX 4096

/* The store's key must be nobody else's. */
static int check_owner(int fd, const char *store_dir, struct buf *why)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	if (S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
	    !(st.st_mode & 077))
		return 0;
	buf_printf(why, "the key \"%s/" KEY_FILE "\" must be a file of this "
		   "user with mode 0600", store_dir);
	return -EPERM;
}

static int key_parse(const uint8_t *pem, size_t len, EVP_PKEY **ret)
{
	BIO *bio = BIO_new_mem_buf(pem, (int)len);
	EVP_PKEY *key;

	if (!bio)
		return -ENOMEM;
	/* An empty pass phrase, so that OpenSSL never asks on the terminal. */
	key = PEM_read_bio_PrivateKey(bio, NULL, NULL, (void *)"");
	BIO_free(bio);
	if (key && EVP_PKEY_is_a(key, "ED25519")) {
		*ret = key;
		return 0;
	}
	EVP_PKEY_free(key);
	return -EBADMSG;
}

static int key_load(int dir, const char *store_dir, struct buf *why,
		    EVP_PKEY **ret)
{
	autoclose int fd = openat(dir, KEY_FILE,
				  O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	uint8_t pem[KEY_BYTES_MAX];
	ssize_t len;
	int r;

	if (fd < 0)
		return -errno;
	r = check_owner(fd, store_dir, why);
	if (r)
		return r;
	len = read(fd, pem, sizeof(pem));
	if (len < 0)
		return -errno;
	r = key_parse(pem, (size_t)len, ret);
	OPENSSL_cleanse(pem, sizeof(pem));
	if (r == -EBADMSG)
		buf_printf(why, "\"%s/" KEY_FILE "\" is not an Ed25519 key",
			   store_dir);
	return r;
}

static int key_write(int dir, EVP_PKEY *key)
{
	BIO *bio = BIO_new(BIO_s_secmem());
	autoclose int fd = -1;
	char *pem;
	long len;
	int r = -ENOMEM;

	if (!bio || !PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0,
						   NULL, NULL))
		goto out;
	len = BIO_get_mem_data(bio, &pem);
	unlinkat(dir, KEY_FILE_NEW, 0); /* of a start that was cut off */
	fd = openat(dir, KEY_FILE_NEW, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
		    0600);
	r = fd < 0 ? -errno : io_write_at(fd, pem, (size_t)len, 0);
	if (!r)
		r = io_sync(fd);
	if (r)
		goto out;
	if (linkat(dir, KEY_FILE_NEW, dir, KEY_FILE, 0) && errno != EEXIST)
		r = -errno;
	unlinkat(dir, KEY_FILE_NEW, 0);
	if (!r && fsync(dir))
		r = -errno;
out:
	BIO_free(bio);
	return r;
}

static int key_create(int dir)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	int r;

	if (!key)
		return -ENOMEM;
	r = key_write(dir, key);
	EVP_PKEY_free(key);
	return r;
}

static int certificate_make(EVP_PKEY *key, X509 **ret)
{
	X509 *x = X509_new();
	X509_NAME *name;

	if (!x)
		return -ENOMEM;
	name = X509_get_subject_name(x);
	if (!X509_set_version(x, X509_VERSION_3) ||
	    !ASN1_INTEGER_set(X509_get_serialNumber(x), 1) ||
	    !ASN1_TIME_set_string_X509(X509_getm_notBefore(x),
				       "19700101000000Z") ||
	    !ASN1_TIME_set_string_X509(X509_getm_notAfter(x),
				       "99991231235959Z") ||
	    !X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
					(const uint8_t *)"kinfs", -1, -1, 0) ||
	    !X509_set_issuer_name(x, name) || !X509_set_pubkey(x, key) ||
	    !X509_sign(x, key, NULL)) {
		X509_free(x);
		return -ENOMEM;
	}
	*ret = x;
	return 0;
}

static int key_device(EVP_PKEY *key, struct device *ret)
{
	size_t len = sizeof(ret->b);

	return EVP_PKEY_get_raw_public_key(key, ret->b, &len) ? 0 : -EBADMSG;
}

int identity_device(const char *store_dir, struct buf *why,
		    struct device *ret)
{
	autoclose int dir = open(store_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	EVP_PKEY *key = NULL;
	int r = dir < 0 ? -errno : key_load(dir, store_dir, why, &key);

	if (!r)
		r = key_device(key, ret);
	EVP_PKEY_free(key);
	return r;
}

int identity_open(const char *store_dir, struct buf *why,
		  struct identity *ret)
{
	autoclose int dir = open(store_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct identity id = { 0 };
	int r;

	r = dir < 0 ? -errno : key_load(dir, store_dir, why, &id.key);
	if (r == -ENOENT && dir >= 0) {
		r = key_create(dir);
		if (!r)
			r = key_load(dir, store_dir, why, &id.key);
	}
	if (!r)
		r = key_device(id.key, &id.device);
	if (!r)
		r = certificate_make(id.key, &id.certificate);
	if (r) {
		if (!why->len)
			buf_printf(why, "cannot use the key of \"%s\": %s",
				   store_dir, strerror(-r));
		identity_close(&id);
		return r;
	}
	*ret = id;
	return 0;
}

void identity_close(struct identity *id)
{
	X509_free(id->certificate);
	EVP_PKEY_free(id->key);
	*id = (struct identity){ 0 };
}

int identity_sign(const struct identity *id, struct slice message,
		  uint8_t ret[64])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t len = 64;
	bool ok;

	ok = ctx && EVP_DigestSignInit(ctx, NULL, NULL, NULL, id->key) &&
	     EVP_DigestSign(ctx, ret, &len, message.data, message.len) &&
	     len == 64;
	EVP_MD_CTX_free(ctx);
	return ok ? 0 : -EIO;
}
