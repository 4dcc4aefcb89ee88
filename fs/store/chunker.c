/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FastCDC (Xia et al., 2020) with normalized chunking. A gear hash rolls
 * over the bytes from CHUNK_BYTES_MIN on:
 *
 *	h = 2 * h + gear[byte]	(mod 2^64, h = 0 before the first)
 *
 * and the chunk ends after the first byte that makes h small: below 2^46
 * (one in 2^18) while the chunk has at most CHUNK_BYTES_AVG bytes, below
 * 2^50 (one in 2^14) after that, and at CHUNK_BYTES_MAX whatever h is. The
 * two thresholds, a factor of four to either side of one in 2^16, are what
 * pulls the lengths towards the average.
 *
 * Why a threshold, when the paper spreads a mask's bits: it asks for leading
 * zeros, so it is a comparison with a constant, and the top bits are those
 * on which the most bytes (46 and more) have an influence.
 *
 * Why zeros never end a chunk early: after n zeros h is gear[0] * (2^n - 1),
 * which for this table is at least 2^50 for all n (it repeats from n = 64).
 * So a long hole can be cut by arithmetic. The test asserts it.
 */
#include "fs/store/chunker.h"

#include <string.h>

#include "fs/base/limits.h"
#include "fs/base/macro.h"

#define HASH_SMALL (UINT64_C(1) << 46)
#define HASH_LARGE (UINT64_C(1) << 50)

/* The first 8 bytes, little endian, of SHA-256("kinfs gear" || byte). */
const uint64_t chunker_gear[256] = {
	0x4dfd2ae9dd46da1f, 0x02c63622dcba210d, 0x40442806b2a0c866,
	0x7f38f6ac7f6baccf, 0x7f30227160cec596, 0x745a235c5bae69c0,
	0x2f478a9f9452e139, 0xa5cbf59d588e29ac, 0xf5ea150a1d316eb9,
	0x5b190bf2046c3e4b, 0x2df032823e4c8a5e, 0x27542c1aa3b3e6a2,
	0x8471a80a4eafde8b, 0x7583909ec00f1751, 0xa374d28a37757a75,
	0x8a5fa864b893119e, 0xc118dadf2e35949c, 0x006e1d864daeb065,
	0xf48aec4f88e852a8, 0x4a5f71e78b3c73c8, 0xfe2b90ea2bf06b46,
	0x1ea11b50a0cddc6c, 0xd54f6ee9efad2562, 0x10b6fa0948b61bbf,
	0xdc3329d9f54b2088, 0x8aef97cb0a6fae7f, 0x4190498e4a4de732,
	0x1f1e29e36f69c6ef, 0x235f046b8398adf5, 0x1ea1d7dfd5b76c0a,
	0x3a72381a0f9de816, 0xeb313ba581b272b4, 0xd8333980de52dcdf,
	0x7f0da57f6f58e703, 0x3a52c52905ea1dce, 0xb2212aa5dbb6de71,
	0x9c89bbf73bc50352, 0x7cd0180fb1875a14, 0xfca1439f7dfacd71,
	0x064988138781409a, 0x8f672ba71064d449, 0x02682b41540865b1,
	0x4e060eb8b36767eb, 0x10813dc76e9de4f5, 0x6a1e0ccabc577f94,
	0xfb9bcf599ca9e5f4, 0x1fb6ff48afab65f2, 0x5bb70bb3446ee5ce,
	0xfdd1a0710c0b3f05, 0x11c44f6a7041241b, 0x4173205400863d7c,
	0x70f077ce8e2a0943, 0xa34498f6abc9f885, 0x58c21117d847944f,
	0x8a5b82c51b9c71b8, 0x1122e6c9c7eeb2c5, 0xa0e914dac841e379,
	0x12053fa9b04755df, 0xd8b8bc26c5c86ffe, 0x9c362558e73b225e,
	0xa4047b938edb0713, 0xf84fcebdc11868fe, 0x8877c0fa76ef09fd,
	0x710c108154ef1bce, 0x937a1e9304d78605, 0x3ce1c50dbc78ead1,
	0x44b474ec63089bba, 0xc046293cce3a5ca5, 0xf993f64358e0c97b,
	0x34ce3fb6788cc36b, 0xe46bd989e76c7b0a, 0xeb9d0f7ec2dc8efd,
	0x930eb6006d965dff, 0xafd52f295e5279f3, 0x9d8bbd8e530b22c2,
	0xab29d6a2b351c742, 0x352ec4b81fb3e95d, 0xee3a0d4787bd118a,
	0x2e5805507a2762a4, 0x27fbb062ced4927b, 0x044ed2e2a7dfaa6e,
	0x241f631686953692, 0x477459799c6a5aa8, 0x442463683ba9cf69,
	0xf0b52856423373fa, 0xc0d2c5af7ae7e05e, 0x45f192b4cbfe77aa,
	0x3a1c2fdbc152d55a, 0xc834827f30b13018, 0x91a9ee110f7e83a6,
	0xd67abd20c3165506, 0x21df7351028498e3, 0x36e23b48d85e3300,
	0xcac1a063ed815357, 0xfed8c13a71690d7b, 0x72f1d6c3d2cac904,
	0xcc239713e0af98c4, 0x91df3b936bc6783d, 0x92118835f27b5676,
	0xb234505615d42b8a, 0xde2d893f23fd7a93, 0x19083a68f4980bbf,
	0x993900db0c263e6f, 0x99bc65d876249349, 0x464c688d0a918ed7,
	0x6f747f6ef7ed1bdd, 0x42695718684db1b9, 0x511b005940e2d3e0,
	0xf7240bedd4d5f9e2, 0x2c9d9b0820a4b0c3, 0xf6c35f85bb8b5b5b,
	0x9716afe117699e59, 0x80941c6c97d48801, 0xf314685891693da4,
	0x2ab514b0eda81e62, 0x216378fa11ae937c, 0x071ce544b6d3d1ed,
	0xd6f0f0601fe0dfd5, 0x3ff32a82ab173069, 0xab834329ff65bede,
	0xeaf289d09b86be6c, 0xd6fba3b14a37f562, 0xcda75b09147c5a70,
	0x22d45a3538d203ed, 0x42c2efb5c9c66fbd, 0xeda0923e6871ff0b,
	0xc6c9009bcbe315f7, 0x73d55e5a2aa254bb, 0xc7ad59474865e42e,
	0x7bd23f12d2a92f00, 0x9d5312263e698a5c, 0xfbae90dc131900b6,
	0xf34ae85f14b56f89, 0x7f1df7c6430ab0d4, 0xaaee23660ba9bcd1,
	0xd5a1fb8eba2ce354, 0x47d116ede318122e, 0x8c0a8cc1f348fab1,
	0xf3f61ed4cca9f59e, 0xd39f52cfacc1f83b, 0x0453989b3af655df,
	0x169a68b01adbee3a, 0xb18897774a6c3dfd, 0x75cbe4f62af0dbfe,
	0x0a21d2c04a48470f, 0x458cb615e08a022b, 0x5a4942f12ecf18b4,
	0x58d903c22bd116e8, 0x5c935a63641e9df9, 0x1ad50ff12cee8d65,
	0x0fb9a0acb66f4684, 0x4159e283096f12c1, 0xc29413fba6829325,
	0xd18ad3376e961b9d, 0x3ff7dfc8e9fbc6f7, 0xd79651b0052debf0,
	0x8f68595cda9948e2, 0x8da522940f976e2a, 0xfcffff64cdaf5813,
	0x35863e96b3f89d67, 0xcdae0ba4251b9e2a, 0xe8202d8fa6f35234,
	0x7e4d136c5f6dbfbd, 0xdd7b815d91a0f907, 0x425a7144b1283ca4,
	0x86fd9f93e9abc77b, 0xfb9c01130abd8ff4, 0xc1c265c675948a7f,
	0x2a83db021c1fc4e0, 0x19f366f688dc2964, 0x8e93e9e9b71943da,
	0xc61ab9cd2146776a, 0xcbaaec81759ba7ed, 0x567b811ed1f98d4a,
	0xcebb5cf2f1a8244a, 0x01001b28ae5a9474, 0x4e411048f6acb527,
	0x6791183a0c78d667, 0x2fee5715775024b8, 0x49d4a4436dad6f39,
	0x1fdaa22d445ebd57, 0x95d1dbf296eccda7, 0x1e4d00bcc9ec16c9,
	0x242488d1712dd4ca, 0x7bcb25e0510be2a1, 0xb47fc29de6cdbc7a,
	0x0d108167e83b8499, 0x3489f840bc181877, 0xee562b7d72163c44,
	0x117c20e50a47ca31, 0xfc9a78a061b338f6, 0xc1b31afe9da76efa,
	0x082445c6410bb0ae, 0xc2ecb6be090f6b28, 0x6e65534404ce3ecf,
	0xeed68a63840dd566, 0x07830297e96b8833, 0xb8bbd5d02da416eb,
	0x1d8bed97ce551c1f, 0x5f3330afd931d6b8, 0x81fff3cc17fcba89,
	0x531db1ad749392ad, 0x9145fdb05c0c4c4c, 0x2e5d2bd57f598833,
	0xe380b75022afaece, 0x7942f9c2d604cf7c, 0xef3b2bc021fb3f97,
	0x728a1ddeef26f6bf, 0xe3413dd0f0d61ef5, 0xf1725e3aaacf1032,
	0x0a4111fbbe6fc879, 0x9853eb755ff1bbcc, 0x472bd08c8fcf410e,
	0x089ae0e2d68deb39, 0x743bfd85f1a8a52e, 0xe30d03d2c8dee805,
	0x659f3dc169d1f644, 0x20a23a952689e744, 0xbf7c81a4bf55e08b,
	0x396e4a0cb9f86f21, 0xab90a9bbf45f023e, 0x393a8ca685d8a133,
	0x314db0705bd6407b, 0xa18aafe1d62e9ba1, 0x3e94c43ab18d90f8,
	0xb20b35053e2b3a61, 0x69598baaac931e77, 0xb5c0be36592abc62,
	0x52f995ff7e840f92, 0xe768f814dd257e47, 0x8b177549bede052d,
	0x959e358ef7176514, 0xbd1b984bc187bc5c, 0x26c8f70258dcee2c,
	0xcd798a627cb34d7c, 0x7d1345ac2137c10e, 0x1beb51f17c3067be,
	0x9e113d9e059a7f39, 0xbffbe34d0cbdc337, 0x81f01e906f9dc067,
	0xcf1dcfd419e5db3c, 0xabb6602348214da7, 0x5fe6c656943fc3c3,
	0x346b6b83b9b5b861, 0x1bf95405e188df3d, 0x62c13c87cdbd28d1,
	0x25dd0efedaae1523, 0x02663dfcd41c212c, 0x14984dbf352d240a,
	0xb909b041428195bc, 0x75308222e1cb473f, 0x7d24d968e6c18359,
	0x385be7c8a31d2dac, 0xb5493b4a298bd60d, 0x38475316cf2d94ad,
	0x00aa3e1da5cfc103,
};

/*
 * Rolls over data[at..end) and returns the end of the chunk, or 0 if h
 * never fell below the threshold. Two GB/s a core were measured; two bytes
 * in one step, as the paper has it, gained nothing here.
 */
static inline size_t roll(const uint8_t *data, size_t at, size_t end,
			  uint64_t threshold, uint64_t *h_io)
{
	uint64_t h = *h_io;

#define STEP(n) \
	do { \
		h = (h << 1) + chunker_gear[data[at + (n)]]; \
		if (h < threshold) \
			return at + (n) + 1; \
	} while (0)
	for (; end - at >= 4; at += 4) {
		STEP(0);
		STEP(1);
		STEP(2);
		STEP(3);
	}
	for (; at < end; at++)
		STEP(0);
#undef STEP
	*h_io = h;
	return 0;
}

size_t chunker_cut(const uint8_t *data, size_t len)
{
	size_t middle, cut;
	uint64_t h = 0;

	kin_assert(len);
	if (len <= CHUNK_BYTES_MIN)
		return len;
	len = MIN_OF(len, (size_t)CHUNK_BYTES_MAX);
	middle = MIN_OF(len, (size_t)CHUNK_BYTES_AVG);
	cut = roll(data, CHUNK_BYTES_MIN, middle, HASH_SMALL, &h);
	if (!cut)
		cut = roll(data, middle, len, HASH_LARGE, &h);
	return cut ? cut : len;
}

bool bytes_are_zero(const void *data, size_t len)
{
	const uint8_t *p = data;

	/* If the first 16 are zero and each equals the one 16 before... */
	for (size_t i = 0; i < MIN_OF(len, (size_t)16); i++)
		if (p[i])
			return false;
	return len <= 16 || !memcmp(p, p + 16, len - 16);
}
