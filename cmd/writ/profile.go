package main

import (
	"net/http"
	"runtime"
	"runtime/pprof"
	"strconv"
	"time"
)

// longestProfile bounds for how long one request has the daemon sampled.
const longestProfile = time.Minute

// sample writes what the daemon's CPU is used for while it answers: ?seconds=N, 10 unless told. It is
// there only with --profile.
func sample(w http.ResponseWriter, r *http.Request) {
	span := 10 * time.Second
	if text := r.URL.Query().Get("seconds"); text != "" {
		n, err := strconv.ParseFloat(text, 64)
		if err != nil || n <= 0 || n > longestProfile.Seconds() {
			http.Error(w, "seconds: want a number above 0 and up to 60", http.StatusBadRequest)
			return
		}
		span = time.Duration(n * float64(time.Second))
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	if err := pprof.StartCPUProfile(w); err != nil { // one at a time
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	defer pprof.StopCPUProfile()
	select {
	case <-time.After(span):
	case <-r.Context().Done():
	}
}

// heap writes what the daemon's memory is used for, after a collection. It is there only with --profile.
func heap(w http.ResponseWriter, _ *http.Request) {
	runtime.GC()
	w.Header().Set("Content-Type", "application/octet-stream")
	if err := pprof.Lookup("heap").WriteTo(w, 0); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}
