package spa

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"encoding/base64"
	"hash"
	"strings"
)

// Hash is one of the hash functions that fwknop knows, for digests and HMACs.
// The zero Hash is none.
type Hash uint8

// The hash functions, with fwknop's own numbers. The SHA3 ones are FIPS 202.
const (
	MD5 Hash = iota + 1
	SHA1
	SHA256
	SHA384
	SHA512
	SHA3_256 //lint:ignore ST1003 as crypto names it
	SHA3_512 //lint:ignore ST1003 as crypto names it
)

// HashNames lists the names ParseHash takes.
const HashNames = "md5, sha1, sha256, sha384, sha512, sha3_256, sha3_512"

var hashes = [...]struct {
	name  string
	size  int
	new   func() hash.Hash
	trial int // how many trials of a key one counts for: about the time it takes
}{
	{trial: 4}, // decrypts
	{"md5", md5.Size, md5.New, 2},
	{"sha1", sha1.Size, sha1.New, 1},
	{"sha256", sha256.Size, sha256.New, 1},
	{"sha384", sha512.Size384, sha512.New384, 2},
	{"sha512", sha512.Size, sha512.New, 2},
	{"sha3_256", 32, func() hash.Hash { return sha3.New256() }, 4},
	{"sha3_512", 64, func() hash.Hash { return sha3.New512() }, 6},
}

// ParseHash returns the hash function of that name, in any case.
func ParseHash(name string) (Hash, bool) {
	for h := MD5; h <= SHA3_512; h++ {
		if strings.EqualFold(name, hashes[h].name) {
			return h, true
		}
	}
	return 0, false
}

// String returns the name as fwknop writes it, "none" for the zero Hash.
func (h Hash) String() string {
	if h == 0 || h > SHA3_512 {
		return "none"
	}
	return hashes[h].name
}

// textLen returns how many characters of base64 without padding a sum takes.
func (h Hash) textLen() int { return b64.EncodedLen(hashes[h].size) }

// text returns the sum of data in base64 without padding.
func (h Hash) text(data []byte) []byte {
	s := hashes[h].new()
	s.Write(data)
	return b64.AppendEncode(nil, s.Sum(nil))
}

// b64 is the one alphabet of fwknop, without padding. It still skips CR and LF,
// so the alphabet is tested before it is used.
var b64 = base64.RawStdEncoding.Strict()

// stdBase64 returns base64 with padding, as fwknop prints keys.
func stdBase64(data []byte) string { return base64.StdEncoding.EncodeToString(data) }
