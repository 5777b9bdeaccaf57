package sockets

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"

	"golang.org/x/sys/unix"
)

// What daemon and holder say to each other: one datagram a request, one an answer, with descriptors
// beside it. The words only grow: daemon and holder may be of different versions.
const (
	opKeep = "keep" // descriptors, in place of those of that name
	opTake = "take" // answered with the descriptors of that name
	opEnd  = "end"
)

type message struct {
	Op    string `json:"op,omitempty"`
	Name  string `json:"name,omitempty"`
	Error string `json:"error,omitempty"`
}

const (
	maxDescriptors = 253 // of one message: SCM_MAX_FD, unix(7)
	maxMessage     = 4096
)

func send(c *net.UnixConn, m message, fds []int) error {
	if len(fds) > maxDescriptors {
		return fmt.Errorf("%d sockets: at most %d can be handed over", len(fds), maxDescriptors)
	}
	body, err := json.Marshal(m)
	if err != nil {
		return err
	}
	var beside []byte
	if len(fds) > 0 {
		beside = unix.UnixRights(fds...)
	}
	_, _, err = c.WriteMsgUnix(body, beside, nil)
	return err
}

// receive reads one message. The caller closes the descriptors.
func receive(c *net.UnixConn) (m message, fds []int, err error) {
	body, beside := make([]byte, maxMessage), make([]byte, unix.CmsgSpace(4*maxDescriptors))
	n, nb, flags, _, err := c.ReadMsgUnix(body, beside)
	if err != nil {
		return m, nil, err
	}
	fds, err = descriptors(beside[:nb])
	switch {
	case err != nil:
	case flags&(unix.MSG_CTRUNC|unix.MSG_TRUNC) != 0:
		err = errors.New("a message was cut off")
	case n == 0:
		err = io.EOF
	default:
		err = json.Unmarshal(body[:n], &m)
	}
	if err != nil {
		closeAll(fds)
		return m, nil, err
	}
	return m, fds, nil
}

func descriptors(beside []byte) ([]int, error) {
	parts, err := unix.ParseSocketControlMessage(beside)
	if err != nil {
		return nil, err
	}
	var fds []int
	for i := range parts {
		more, err := unix.ParseUnixRights(&parts[i])
		if err != nil {
			return fds, err
		}
		fds = append(fds, more...)
	}
	return fds, nil
}
