// Package session is what the harness and a probe say to each other: JSON-RPC
// 2.0, a message a line, over one byte stream. The probe is the server. What
// takes long returns at once and reports by notification.
//
// When the stream ends, or the probe hears nothing from the harness for a
// while, the probe stops every attack, load and kept connection. Its
// application goes on serving: other workloads may be under test with it.
package session

import (
	"encoding/json"
	"time"

	"github.com/meshbreach/meshbreach/attacker"
)

// Version of the protocol. Both ends come from one build; another version
// means that an old probe is still running.
const Version = 1

// maxMessage bounds one message, in bytes, in both directions.
const maxMessage = 8 << 20

// pageLimit bounds the receipts of one message.
const pageLimit = 4000

// The times of the heartbeat.
const (
	pingEvery = time.Second
	silence   = 5 * time.Second
)

// The calls, and the notifications in either direction.
const (
	callHello     = "hello"
	callServe     = "serve"
	callReceipts  = "receipts"
	callRequest   = "request"
	callTry       = "try"
	callStopTry   = "try.stop"
	callLoad      = "load"
	callStopLoad  = "load.stop"
	noteCancel    = "cancel"
	notePing      = "ping"
	noteSeen      = "try.seen"
	noteTryEnded  = "try.ended"
	noteLoadEnded = "load.ended"
)

// Hello is how a probe introduces itself.
type Hello struct {
	Version int    `json:"version"`
	Epoch   string `json:"epoch"` // of its application, as in receipts; empty when it has none
	Pid     int    `json:"pid"`   // in its own PID namespace
}

// An Attempt asks a probe to try an attack.
type Attempt struct {
	Attack   string          `json:"attack"`   // name in the probe's catalogue
	Foothold string          `json:"foothold"` // name of the workload it starts from
	Target   attacker.Target `json:"target"`
	Prefix   string          `json:"prefix"` // of its nonces: prefix-1, prefix-2 ...
	Params   json.RawMessage `json:"params,omitempty"`
}

type serveParams struct {
	Listeners []attacker.Listen `json:"listeners"`
}

type receiptsParams struct {
	Since uint64 `json:"since"`
}

type cancelParams struct {
	Call string `json:"call"` // JSON-RPC id
}

type tryParams struct {
	ID      uint64  `json:"id"` // chosen by the harness
	Attempt Attempt `json:"attempt"`
}

type loadParams struct {
	ID   uint64        `json:"id"`
	Load attacker.Load `json:"load"`
}

type idParams struct {
	ID uint64 `json:"id"`
}

// seenNote is one observation. Seq counts from 0: the library may deliver
// notifications in another order than they were sent in.
type seenNote struct {
	ID   uint64               `json:"id"`
	Seq  uint64               `json:"seq"`
	Seen attacker.Observation `json:"seen"`
}

type tryEnded struct {
	ID    uint64 `json:"id"`
	Seen  uint64 `json:"seen"` // how many observations there were
	Error string `json:"error,omitempty"`
}

type loadEnded struct {
	ID     uint64              `json:"id"`
	Result attacker.LoadResult `json:"result"`
	Error  string              `json:"error,omitempty"`
}
