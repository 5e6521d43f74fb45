package nft

import (
	"encoding/binary"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"knockd/internal/knock"
)

// Reader reads the rules that are in nf_tables, everybody's, and changes none.
type Reader struct{ k kernel }

// NewReader connects to nf_tables in a network namespace, given by a
// descriptor; 0 means the current one. Another one needs CAP_SYS_ADMIN.
func NewReader(netns int) (*Reader, error) {
	k, err := dial(netns)
	if err != nil {
		return nil, err
	}
	return &Reader{k}, nil
}

// Close ends the connection.
func (r *Reader) Close() error { return r.k.close() }

// Chains returns all chains of all tables.
func (r *Reader) Chains() ([]*nftables.Chain, error) {
	chains, err := r.k.chains()
	return chains, reason(err)
}

// Rules returns the rules of a chain.
func (r *Reader) Rules(c *nftables.Chain) ([]*nftables.Rule, error) { return r.k.rules(c) }

// Sets returns the sets and maps of a table.
func (r *Reader) Sets(t knock.Table) ([]*nftables.Set, error) { return r.k.sets(nfTable(t)) }

// Elements returns the elements of a set. Those of a verdict map have their
// VerdictData.
func (r *Reader) Elements(s *nftables.Set) ([]nftables.SetElement, error) {
	elements, err := r.k.elements(s)
	for i := range elements {
		if elements[i].VerdictData == nil {
			elements[i].VerdictData = decodeVerdict(elements[i].Val)
		}
	}
	return elements, err
}

// Sets returns the sets that openings of the door go to, for IPv4 and IPv6. In
// mode Set the zero value says that it does not open for a version.
func (d Door) Sets(o Options) (v4, v6 knock.SetName, err error) {
	o = o.WithDefaults()
	specs, err := newSpecs(&o, []Door{d})
	if err != nil {
		return knock.SetName{}, knock.SetName{}, err
	}
	if t := specs[0].v4; t != nil {
		v4 = knock.SetName{Table: t.table, Name: t.name}
	}
	if t := specs[0].v6; t != nil {
		v6 = knock.SetName{Table: t.table, Name: t.name}
	}
	return v4, v6, nil
}

// decodeVerdict reads a map's verdict (NFTA_DATA_VERDICT).
func decodeVerdict(b []byte) *expr.Verdict {
	ad, err := netlink.NewAttributeDecoder(b)
	if err != nil {
		return nil
	}
	ad.ByteOrder = binary.BigEndian
	v := &expr.Verdict{}
	for ad.Next() {
		switch ad.Type() {
		case unix.NFTA_VERDICT_CODE:
			v.Kind = expr.VerdictKind(int32(ad.Uint32()))
		case unix.NFTA_VERDICT_CHAIN:
			v.Chain = ad.String()
		}
	}
	if ad.Err() != nil {
		return nil
	}
	return v
}
