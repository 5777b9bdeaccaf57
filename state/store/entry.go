package store

import (
	"encoding/binary"
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"writ/state"
)

// An entry of the log says what a decision did: the records that it made or removed, as they are
// after it, and the adoption. So a later version of Apply can never read another outcome out of it.
//
// An entry is a stream of tagged fields, cut into chunks of at most chunkSize bytes, each one entry of
// raft's log: a header, and a piece of the stream encrypted (sealer), so that nobody who has the files
// but not the key learns what the objects hold.
const (
	entryRecord  protowire.Number = iota + 1 // state.EncodeRecord
	entryRemoved                             // state.EncodeRef
	entryAdopted                             // state.EncodeAdoption
)

const (
	chunkSize  = 128 << 10
	headerSize = 1 + 1 + 8 + 4
)

// chunkKind is what a chunk belongs to.
type chunkKind byte

const (
	chunkDecision chunkKind = iota + 1
	chunkEpoch              // a start of the store: revision is the first of its epoch, nothing follows
)

// chunkHeader stands before each piece.
type chunkHeader struct {
	kind     chunkKind
	last     bool
	revision state.Revision
	sequence uint32 // of the chunk in its entry, from 0
}

func (h chunkHeader) put(b []byte) []byte {
	last := byte(0)
	if h.last {
		last = 1
	}
	b = append(b, byte(h.kind), last)
	b = binary.BigEndian.AppendUint64(b, uint64(h.revision))
	return binary.BigEndian.AppendUint32(b, h.sequence)
}

func readHeader(data []byte) (h chunkHeader, err error) {
	if len(data) < headerSize {
		return h, errors.New("read log: an entry is too short")
	}
	h.kind, h.last = chunkKind(data[0]), data[1] == 1
	h.revision = state.Revision(binary.BigEndian.Uint64(data[2:]))
	h.sequence = binary.BigEndian.Uint32(data[10:])
	if h.kind != chunkDecision && h.kind != chunkEpoch {
		return h, fmt.Errorf("read log: unknown entry %d", data[0])
	}
	return h, nil
}

// chunker cuts the stream of one entry and sends the chunks.
type chunker struct {
	send   func(chunk []byte) error // takes ownership
	sealer *sealer
	header chunkHeader
	buffer []byte // room for the header and the seal, then the stream so far
	room   []byte // for one record, used again
}

// before is the room before the stream, in each chunk.
const before = headerSize + sealSize

func newChunker(kind chunkKind, at state.Revision, sealer *sealer, send func([]byte) error) *chunker {
	return &chunker{send: send, sealer: sealer, header: chunkHeader{kind: kind, revision: at}, buffer: make([]byte, before, before+512)}
}

func (c *chunker) decision(changes []state.Change, adopted *state.Adoption) error {
	for i := range changes {
		if err := c.change(&changes[i]); err != nil {
			return err
		}
	}
	if adopted != nil {
		data, err := state.EncodeAdoption(adopted)
		if err != nil {
			return err
		}
		if err := c.field(entryAdopted, data); err != nil {
			return err
		}
	}
	return c.flush(true)
}

func (c *chunker) change(change *state.Change) (err error) {
	if change.New == nil {
		return c.field(entryRemoved, state.EncodeRef(change.Ref))
	}
	if c.room, err = state.AppendRecord(c.room[:0], change.New); err != nil {
		return err
	}
	return c.field(entryRecord, c.room)
}

func (c *chunker) field(n protowire.Number, block []byte) error {
	c.buffer = protowire.AppendTag(c.buffer, n, protowire.BytesType)
	c.buffer = protowire.AppendVarint(c.buffer, uint64(len(block)))
	for {
		fits := min(len(block), before+chunkSize-len(c.buffer))
		if fits > 0 {
			c.buffer = append(c.buffer, block[:fits]...)
			block = block[fits:]
		}
		if len(block) == 0 {
			return nil
		}
		if err := c.flush(false); err != nil {
			return err
		}
	}
}

func (c *chunker) flush(last bool) error {
	c.header.last = last
	c.header.put(c.buffer[:0])
	full := c.buffer
	if !last {
		c.buffer = make([]byte, before, before+chunkSize+tagSize)
	}
	c.header.sequence++
	return c.send(c.sealer.seal(full))
}

// assembler puts the chunks of the log together again. What was begun and not ended is dropped when
// the next entry begins: nobody was told about it.
type assembler struct {
	revision state.Revision
	next     uint32
	stream   []byte
	decoder  state.Decoder
}

// done is what an entry did.
type done struct {
	revision state.Revision
	changes  []state.Change
	adopted  *state.Adoption
}

// add takes a chunk and answers the entry that it completes, or nil.
func (a *assembler) add(h chunkHeader, piece []byte) (*done, error) {
	if h.sequence == 0 {
		a.revision, a.next, a.stream = h.revision, 0, nil
	}
	if h.sequence != a.next || h.revision != a.revision {
		return nil, fmt.Errorf("read log: chunk %d of revision %s is out of place", h.sequence, h.revision)
	}
	a.next++
	a.stream = append(a.stream, piece...)
	if !h.last {
		return nil, nil
	}
	stream := a.stream
	a.stream = nil
	return a.read(h.revision, stream)
}

func (a *assembler) read(at state.Revision, stream []byte) (*done, error) {
	d := &done{revision: at}
	for len(stream) > 0 {
		num, typ, n := protowire.ConsumeTag(stream)
		if n < 0 || typ != protowire.BytesType {
			return nil, fmt.Errorf("read log: revision %s is garbled", at)
		}
		block, m := protowire.ConsumeBytes(stream[n:])
		if m < 0 {
			return nil, fmt.Errorf("read log: revision %s is garbled", at)
		}
		stream = stream[n+m:]
		if err := a.field(d, num, block); err != nil {
			return nil, fmt.Errorf("read log: revision %s: %w", at, err)
		}
	}
	return d, nil
}

func (a *assembler) field(d *done, n protowire.Number, block []byte) error {
	switch n {
	case entryRecord:
		r, err := a.decoder.Record(block)
		if err != nil {
			return err
		}
		d.changes = append(d.changes, state.Change{Ref: r.Ref, New: r, Revision: d.revision})
	case entryRemoved:
		ref, err := state.DecodeRef(block)
		if err != nil {
			return err
		}
		d.changes = append(d.changes, state.Change{Ref: ref, Revision: d.revision})
	case entryAdopted:
		adopted, err := state.DecodeAdoption(block)
		if err != nil {
			return err
		}
		d.adopted = &adopted
	}
	return nil
}
