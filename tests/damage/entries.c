/* SPDX-License-Identifier: Apache-2.0 */
/* By LMDB alone, past the store: no check of a value fits behind it. */
#include "tests/damage/damage.h"

#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/store/format.h"

static void must(int rc)
{
	if (!rc)
		return;
	fprintf(stderr, "kin-damage: LMDB: %s\n", mdb_strerror(rc));
	abort();
}

static MDB_env *tables_open(const char *store, MDB_txn **ret_txn)
{
	char path[300];
	MDB_env *env;

	snprintf(path, sizeof(path), "%s/db", store);
	must(mdb_env_create(&env));
	must(mdb_env_set_maxdbs(env, TABLE_COUNT));
	must(mdb_env_set_mapsize(env, 1u << 30));
	must(mdb_env_open(env, path, MDB_NOSUBDIR | MDB_NOSYNC, 0600));
	must(mdb_txn_begin(env, NULL, 0, ret_txn));
	return env;
}

size_t raw_entries(const char *store, struct raw_entry **ret)
{
	size_t count = 0, alloc = 0;
	MDB_txn *txn;
	MDB_env *env = tables_open(store, &txn);

	*ret = NULL;
	for (enum store_table t = 0; t < TABLE_COUNT; t++) {
		MDB_cursor *at;
		MDB_val k, v;
		MDB_dbi dbi;

		must(mdb_dbi_open(txn, table_name(t), 0, &dbi));
		must(mdb_cursor_open(txn, dbi, &at));
		while (!mdb_cursor_get(at, &k, &v, MDB_NEXT)) {
			struct raw_entry *e;

			if (count == alloc) {
				alloc = alloc ? 2 * alloc : 256;
				*ret = realloc(*ret, alloc * sizeof(**ret));
				kin_assert(*ret);
			}
			e = &(*ret)[count++];
			*e = (struct raw_entry){ .table = t,
						 .key_len = k.mv_size,
						 .value_len = v.mv_size };
			kin_assert(k.mv_size <= sizeof(e->key));
			memcpy(e->key, k.mv_data, k.mv_size);
		}
		mdb_cursor_close(at);
	}
	mdb_txn_abort(txn);
	mdb_env_close(env);
	return count;
}

void raw_damage(const char *store, const struct raw_entry *e, enum damage how)
{
	uint8_t key[STORE_KEY_BYTES_MAX + 1] = { 0 };
	autofree uint8_t *bytes = NULL;
	MDB_val k = { e->key_len, key }, v;
	MDB_txn *txn;
	MDB_env *env = tables_open(store, &txn);
	MDB_dbi dbi;

	memcpy(key, e->key, e->key_len);
	must(mdb_dbi_open(txn, table_name(e->table), 0, &dbi));
	must(mdb_get(txn, dbi, &k, &v));
	bytes = malloc(v.mv_size + 1);
	kin_assert(bytes);
	memcpy(bytes, v.mv_data, v.mv_size);
	v.mv_data = bytes;
	if (how == DAMAGE_FLIP)
		bytes[v.mv_size / 2] ^= 0x10;
	else if (how == DAMAGE_CUT)
		v.mv_size /= 2;
	else if (how == DAMAGE_EMPTY)
		v.mv_size = 0;
	else
		must(mdb_del(txn, dbi, &k, NULL));
	if (how == DAMAGE_KEY)
		k.mv_size++;
	if (how != DAMAGE_REMOVED)
		must(mdb_put(txn, dbi, &k, &v, 0));
	must(mdb_txn_commit(txn));
	mdb_env_close(env);
}
