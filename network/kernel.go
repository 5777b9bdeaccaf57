package network

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"

	"github.com/google/nftables"
	mdl "github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// socketBuffer holds a whole transaction with all its acknowledgements.
const socketBuffer = 64 << 20

func native16(b []byte) uint16 { return binary.NativeEndian.Uint16(b) }

// dialNFT opens a netlink connection to nftables in a network namespace and tells its port, which the
// kernel puts into the notices about what came through it.
func dialNFT(ns int) (conn *nftables.Conn, raw *mdl.Conn, port uint32, err error) {
	conn, err = nftables.New(nftables.AsLasting(), nftables.WithNetNSFd(ns), nftables.WithSockOptions(func(c *mdl.Conn) error {
		raw = c
		if err := c.SetReadBuffer(socketBuffer); err != nil {
			return err
		}
		return c.SetWriteBuffer(socketBuffer)
	}))
	if err != nil {
		return nil, nil, 0, fmt.Errorf("open netlink to nftables: %w", err)
	}
	port, err = portID(raw)
	if err != nil {
		return nil, nil, 0, errors.Join(err, conn.CloseLasting())
	}
	return conn, raw, port, nil
}

func portID(c *mdl.Conn) (uint32, error) {
	sc, err := c.SyscallConn()
	if err != nil {
		return 0, fmt.Errorf("open socket of netlink: %w", err)
	}
	var addr unix.Sockaddr
	var inner error
	if err := sc.Control(func(fd uintptr) { addr, inner = unix.Getsockname(int(fd)) }); err != nil {
		return 0, fmt.Errorf("open socket of netlink: %w", err)
	}
	nl, ok := addr.(*unix.SockaddrNetlink)
	if inner != nil || !ok {
		return 0, fmt.Errorf("read port of netlink: %w", inner)
	}
	return nl.Pid, nil
}

// dumpDigest is the SHA-256 of every rule of a table as the kernel dumps it, handles included: any
// change that did not come from here shows. The number of rules is told with it; none means that
// there is no table.
func dumpDigest(raw *mdl.Conn, table string) (digest string, rules int, err error) {
	filter, err := mdl.MarshalAttributes([]mdl.Attribute{{Type: unix.NFTA_RULE_TABLE, Data: []byte(table + "\x00")}})
	if err != nil {
		return "", 0, fmt.Errorf("encode name of table: %w", err)
	}
	replies, err := raw.Execute(mdl.Message{
		Header: mdl.Header{Type: nftType(unix.NFT_MSG_GETRULE), Flags: mdl.Request | mdl.Dump},
		Data:   append([]byte{byte(nftables.TableFamilyINet), unix.NFNETLINK_V0, 0, 0}, filter...),
	})
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", 0, fmt.Errorf("list rules: %w", err)
	}
	h := sha256.New()
	for _, m := range replies {
		if len(m.Data) < 4 || firstString(m.Data) != table {
			continue
		}
		rules++
		h.Write(m.Data[4:])
	}
	return hex.EncodeToString(h.Sum(nil)), rules, nil
}

func nftType(message uint16) mdl.HeaderType {
	return mdl.HeaderType(unix.NFNL_SUBSYS_NFTABLES<<8 | message)
}

// firstString is the first attribute of a message about nftables: in every kind of message that is
// about a table's content it is the table's name.
func firstString(data []byte) string {
	if len(data) < 4+unix.SizeofNlAttr {
		return ""
	}
	data = data[4:]
	length := int(native16(data))
	if native16(data[2:])&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER) != 1 || length < unix.SizeofNlAttr+1 || length > len(data) {
		return ""
	}
	return string(data[unix.SizeofNlAttr : length-1])
}
