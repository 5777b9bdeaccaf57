package main

import (
	"runtime/debug"
	"strings"
)

// version is set when this is built for others (-ldflags -X main.version=...).
var version string

// build names this program for people.
func build() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	words := []string{info.Main.Version}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			words = append(words, s.Value)
		}
	}
	return strings.Join(words, " ")
}
