package broker

import (
	"fmt"
	"time"

	"hilnet/mqtt/codec"
	"hilnet/trace"
)

// Config says how a Broker behaves. The zero value is a broker that admits
// everyone; a limit of 0 is its default.
type Config struct {
	Node  string     // name in the trace; default "broker"
	Trace *trace.Log // nil: no trace

	// Users who may connect. None means that everybody may, with or without a
	// name, and that Rights hold for all.
	Users  []User
	Rights Rights

	// NoEmptyClientID refuses clients that leave their identifier to the server
	// [MQTT-3.1.3-6].
	NoEmptyClientID bool
	MaxClientID     int // bytes of a client identifier; default 65,535, at least 23 [MQTT-3.1.3-5]

	MaxPacket        int           // bytes of a packet; default 1 MiB
	MaxConnections   int           // default 16,384
	MaxSessions      int           // sessions of clients here and away; default 16,384
	MaxInflight      int           // QoS 1 and 2 messages sent to a client and not acknowledged; default 20, at most 65,535
	MaxQueued        int           // QoS 1 and 2 messages waiting for one client; default 1,000
	MaxQueuedBytes   int           // topics and payloads of these; default 4 MiB
	MaxSubscriptions int           // of one session; default 1,000
	MaxTopicLevels   int           // of a filter; default 200
	MaxRetained      int           // retained messages; default 16,384
	MaxRetainedBytes int           // topics and payloads of these; default 64 MiB
	MaxUnsent        int           // bytes that wait for a client to read; default 1 MiB, see Broker.Backlog
	ConnectTimeout   time.Duration // from Open to CONNECT; default 10 s
}

// User is a name and password that a CONNECT may carry.
type User struct {
	Name     string // empty: stands for clients without a user name
	Password string // empty: CONNECT may come without one
	Rights   Rights
}

// Default values of Config.
const (
	DefaultMaxPacket        = 1 << 20
	DefaultMaxClientID      = codec.MaxString
	DefaultMaxConnections   = 16_384
	DefaultMaxSessions      = 16_384
	DefaultMaxInflight      = 20
	DefaultMaxQueued        = 1_000
	DefaultMaxQueuedBytes   = 4 << 20
	DefaultMaxSubscriptions = 1_000
	DefaultMaxTopicLevels   = 200
	DefaultMaxRetained      = 16_384
	DefaultMaxRetainedBytes = 64 << 20
	DefaultMaxUnsent        = 1 << 20
	DefaultConnectTimeout   = 10 * time.Second
)

// Drop reasons of the broker beyond those that package trace declares.
const (
	// DropProtocol: a packet broke a rule of MQTT, and its connection was
	// closed; Text names the clause.
	DropProtocol trace.DropReason = "mqtt_protocol_error"
	// DropDuplicate: a QoS 2 PUBLISH was repeated before its PUBREL; it was
	// acknowledged again and not passed on again [MQTT-4.3.3-2].
	DropDuplicate trace.DropReason = "qos2_duplicate"
	// DropSessionEnd: a message still waited in a session that was discarded.
	DropSessionEnd trace.DropReason = "session_ended"
	// DropSubscriptionLimit: a subscription was refused because the session has
	// too many, or its filter too many levels.
	DropSubscriptionLimit trace.DropReason = "subscription_limit"
	// DropNotAuthorized: a client, or its will, published to a topic that its
	// rights do not cover [MQTT-3.3.5-2], or subscribed to one.
	DropNotAuthorized trace.DropReason = "not_authorized"
	// DropUnreadOutput: a client read so slowly that its connection was closed
	// with bytes unsent.
	DropUnreadOutput trace.DropReason = "unsent_limit"
)

// Causes of a disconnection, as KindBrokerDisconnected has them in Text.
const (
	CauseDisconnect     = "DISCONNECT received"
	CauseClosed         = "connection closed without DISCONNECT"
	CauseKeepAlive      = "keep alive timeout"
	CauseConnectTimeout = "no CONNECT in time"
	CauseTakenOver      = "taken over by a new connection"
	CauseRefused        = "CONNECT refused"
	CauseProtocol       = "protocol error" // ": " and the error follow
	CauseTooManyUnsent  = "client reads too slowly"
	CauseTooManyConns   = "too many connections"
)

// minMaxClientID is what every server takes [MQTT-3.1.3-5].
const minMaxClientID = 23

// withDefaults fills in the zero fields and refuses what makes no sense.
func (cfg Config) withDefaults() (Config, error) {
	if cfg.Node == "" {
		cfg.Node = "broker"
	}
	for _, l := range []struct {
		name     string
		v        *int
		std, max int
	}{
		{"MaxPacket", &cfg.MaxPacket, DefaultMaxPacket, codec.MaxPacket},
		{"MaxClientID", &cfg.MaxClientID, DefaultMaxClientID, codec.MaxString},
		{"MaxConnections", &cfg.MaxConnections, DefaultMaxConnections, 0},
		{"MaxSessions", &cfg.MaxSessions, DefaultMaxSessions, 0},
		{"MaxInflight", &cfg.MaxInflight, DefaultMaxInflight, 65_535},
		{"MaxQueued", &cfg.MaxQueued, DefaultMaxQueued, 0},
		{"MaxQueuedBytes", &cfg.MaxQueuedBytes, DefaultMaxQueuedBytes, 0},
		{"MaxSubscriptions", &cfg.MaxSubscriptions, DefaultMaxSubscriptions, 0},
		{"MaxTopicLevels", &cfg.MaxTopicLevels, DefaultMaxTopicLevels, 65_536},
		{"MaxRetained", &cfg.MaxRetained, DefaultMaxRetained, 0},
		{"MaxRetainedBytes", &cfg.MaxRetainedBytes, DefaultMaxRetainedBytes, 0},
		{"MaxUnsent", &cfg.MaxUnsent, DefaultMaxUnsent, 0},
	} {
		if *l.v == 0 {
			*l.v = l.std
		}
		if *l.v < 0 || l.max > 0 && *l.v > l.max {
			return cfg, fmt.Errorf("broker: %s %d is out of range", l.name, *l.v)
		}
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = DefaultConnectTimeout
	}
	if cfg.ConnectTimeout < 0 {
		return cfg, fmt.Errorf("broker: ConnectTimeout %v is out of range", cfg.ConnectTimeout)
	}
	if cfg.MaxClientID < minMaxClientID {
		return cfg, fmt.Errorf("broker: MaxClientID %d is below %d", cfg.MaxClientID, minMaxClientID)
	}
	if err := cfg.Rights.check("everybody"); err != nil {
		return cfg, err
	}
	for i, u := range cfg.Users {
		if err := u.Rights.check(fmt.Sprintf("user %q", u.Name)); err != nil {
			return cfg, err
		}
		for _, earlier := range cfg.Users[:i] {
			if u.Name == earlier.Name {
				return cfg, fmt.Errorf("broker: user %q appears twice", u.Name)
			}
		}
	}
	return cfg, nil
}
