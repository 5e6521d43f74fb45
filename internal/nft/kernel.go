package nft

import (
	"errors"
	"fmt"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// kernel is all that the package asks of nf_tables. Each method is one
// exchange with the kernel.
type kernel interface {
	// apply sends what batch has put into the connection as one transaction.
	// With a generation other than 0 it fails with ERESTART if the rules have
	// changed since.
	apply(generation uint32, batch func(*nftables.Conn) error) error
	generation() (uint32, error)
	tables() ([]*nftables.Table, error)
	chains() ([]*nftables.Chain, error)
	rules(*nftables.Chain) ([]*nftables.Rule, error)
	sets(*nftables.Table) ([]*nftables.Set, error)
	elements(*nftables.Set) ([]nftables.SetElement, error)
	// find returns those of the elements that are in the set.
	find(*nftables.Set, nftables.SetElement) ([]nftables.SetElement, error)
	// port is the netlink address by which the kernel knows the connection.
	port() uint32
	close() error
}

// conn is the kernel itself: one lasting connection. A table that it owns
// belongs to nobody else until it is closed.
type conn struct {
	nf     *nftables.Conn
	portID uint32
}

func dial(netns int) (kernel, error) {
	nf, err := nftables.New(nftables.AsLasting(), nftables.WithNetNSFd(netns))
	if err != nil {
		return nil, fmt.Errorf("connect to nf_tables: %w", err)
	}
	id, err := nf.GetPortID()
	if err != nil {
		nf.CloseLasting()
		return nil, fmt.Errorf("connect to nf_tables: %w", err)
	}
	return &conn{nf, id}, nil
}

func (c *conn) port() uint32 { return c.portID }

func (c *conn) close() error { return c.nf.CloseLasting() }

func (c *conn) apply(generation uint32, batch func(*nftables.Conn) error) (err error) {
	defer recoverLibrary(&err)
	if err := batch(c.nf); err != nil {
		c.discard()
		return err
	}
	if generation != 0 {
		return c.nf.FlushWithGenID(generation)
	}
	return c.nf.Flush()
}

// discard empties the connection's buffer: a generation that cannot be makes
// the kernel refuse the batch. There is no other way to forget messages.
func (c *conn) discard() { c.nf.FlushWithGenID(^uint32(0)) }

func (c *conn) generation() (id uint32, err error) {
	defer recoverLibrary(&err)
	g, err := c.nf.GetGen()
	if err != nil {
		return 0, err
	}
	return g.ID, nil
}

func (c *conn) tables() ([]*nftables.Table, error) { return c.nf.ListTables() }

func (c *conn) chains() ([]*nftables.Chain, error) { return c.nf.ListChains() }

func (c *conn) rules(chain *nftables.Chain) (r []*nftables.Rule, err error) {
	defer recoverLibrary(&err)
	return c.nf.GetRules(chain.Table, chain)
}

func (c *conn) sets(t *nftables.Table) (s []*nftables.Set, err error) {
	defer recoverLibrary(&err)
	return c.nf.GetSets(t)
}

func (c *conn) elements(s *nftables.Set) (e []nftables.SetElement, err error) {
	defer recoverLibrary(&err)
	return c.nf.GetSetElements(s)
}

func (c *conn) find(s *nftables.Set, key nftables.SetElement) (e []nftables.SetElement, err error) {
	defer recoverLibrary(&err)
	e, err = c.nf.FindSetElements(s, []nftables.SetElement{key})
	if errors.Is(err, unix.ENOENT) {
		return nil, nil
	}
	return e, err
}

// recoverLibrary turns a panic of package nftables into an error: it trusts
// the lengths in comments that other programs have written (userdata.Get), and
// its wait for answers knows no descriptor above 1023 (isReadReady).
func recoverLibrary(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("nf_tables: %v", p)
	}
}

// refused reports whether the kernel has answered a batch with a refusal: then
// nothing of it was applied, and the connection is sound. After any other
// error both are in doubt.
func refused(err error) bool {
	var op *netlink.OpError
	if !errors.As(err, &op) {
		return false
	}
	_, answered := op.Err.(unix.Errno) // of the socket itself it is an os.SyscallError
	return answered
}

// missing reports whether the table or set that was asked for is not there.
func missing(err error) bool { return errors.Is(err, unix.ENOENT) }

// reason words an error for the person who reads the log.
func reason(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.ENFILE):
		return fmt.Errorf("the set is full: %w", err)
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("CAP_NET_ADMIN is missing, or the table belongs to another program: %w", err)
	case errors.Is(err, unix.ENOENT):
		return fmt.Errorf("the table, the set or a kernel module is missing: %w", err)
	case errors.Is(err, unix.EOPNOTSUPP):
		return fmt.Errorf("the kernel does not know what is asked for: %w", err)
	case errors.Is(err, unix.EBUSY):
		return fmt.Errorf("something else refers to it: %w", err)
	case errors.Is(err, unix.ENOBUFS), errors.Is(err, unix.EMSGSIZE):
		return fmt.Errorf("too much at once for the netlink socket: %w", err)
	}
	return err
}
