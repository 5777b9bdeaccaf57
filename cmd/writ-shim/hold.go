package main

import (
	"errors"
	"net"
	"os"
	"os/signal"
	"syscall"

	"writ/sockets"
)

// hold keeps the daemon's listening sockets. The daemon started it with the socket to be spoken to on.
func hold() error {
	// Caught and dropped: they are meant for the daemon.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT)
	f := os.NewFile(sockets.HolderFD, "socket")
	if f == nil {
		return errors.New("hold: the daemon starts this")
	}
	l, err := net.FileListener(f)
	f.Close()
	if err != nil {
		return err
	}
	u, ok := l.(*net.UnixListener)
	if !ok {
		l.Close()
		return errors.New("hold: the daemon starts this")
	}
	u.SetUnlinkOnClose(false)
	return sockets.Hold(u, sockets.Idle)
}
