package eshm

import (
	"encoding/json"
	"maps"
	"os"
	"reflect"
	"testing"
)

// structJSON is a struct in protocol/layout.json, which the Rust core writes from its compiled layout.
type structJSON struct {
	Fields map[string]uint64
	Size   uint64
}

func readLayout(t *testing.T) map[string]json.RawMessage {
	t.Helper()
	text, err := os.ReadFile("../protocol/layout.json")
	if err != nil {
		t.Fatal(err)
	}
	var layout map[string]json.RawMessage
	if err := json.Unmarshal(text, &layout); err != nil {
		t.Fatal(err)
	}
	return layout
}

func decode[T any](t *testing.T, layout map[string]json.RawMessage, key string) (value T) {
	t.Helper()
	if err := json.Unmarshal(layout[key], &value); err != nil {
		t.Fatalf("%s: %v", key, err)
	}
	return value
}

func TestLayoutOfStructsMatchesTheProtocol(t *testing.T) {
	layout := readLayout(t)
	names := map[string]map[string]string{
		"header": {
			"magic": "magic", "version": "version", "master_heartbeat": "masterHeartbeat", "slave_heartbeat": "slaveHeartbeat",
			"master_pid": "masterPID", "slave_pid": "slavePID", "master_alive": "masterAlive", "slave_alive": "slaveAlive",
			"stale_threshold": "staleThreshold", "master_generation": "masterGeneration", "features": "features",
			"layout_size": "layoutSize", "extension": "extension", "data_size": "dataSize",
			"master_capabilities": "masterCapabilities", "slave_capabilities": "slaveCapabilities",
			"master_signature": "masterSignature", "slave_signature": "slaveSignature",
			"slave_generation": "slaveGeneration", "queue_slots": "queueSlots", "queue_offset": "queueOffset",
			"queue_capacity": "queueCapacity", "slave_stale_threshold": "slaveThreshold",
		},
		"channel_head": {"sequence": "sequence", "data_size": "dataSize"},
		"channel_tail": {
			"write_count": "writeCount", "read_count": "readCount", "wake_seq": "wakeSeq", "waiters": "waiters",
			"taken": "taken", "taken_waiters": "takenWaiters",
		},
		"queue_control": {
			"consumed": "consumed", "receiver_parked": "receiversParked", "sender": "sender",
		},
		"sender_lines": {"parked": "parked", "high_water": "highWater"},
		"slot":         {"mark": "mark", "len": "len", "payload": "payload"},
	}
	types := map[string]reflect.Type{
		"header": reflect.TypeFor[header](), "channel_head": reflect.TypeFor[channelHead](),
		"channel_tail": reflect.TypeFor[channelTail](), "queue_control": reflect.TypeFor[queueControl](),
		"sender_lines": reflect.TypeFor[senderLines](), "slot": reflect.TypeFor[slot](),
	}
	for key, kind := range types {
		expected := decode[structJSON](t, layout, key)
		if size := uint64(kind.Size()); size != expected.Size {
			t.Errorf("%s has %d bytes, expected %d", key, size, expected.Size)
		}
		for name, offset := range expected.Fields {
			ours, known := names[key][name]
			if name == "reserved" || name == "unused" {
				continue
			}
			field, found := kind.FieldByName(ours)
			if !known || !found {
				t.Errorf("%s has no field %s, expected at %d", key, name, offset)
			} else if uint64(field.Offset) != offset {
				t.Errorf("%s.%s is at %d, expected %d", key, name, field.Offset, offset)
			}
		}
	}
	control := reflect.TypeFor[queueControl]()
	count, _ := control.FieldByName("receiversParked")
	number, _ := control.FieldByName("parkedNumber")
	if distance := decode[structJSON](t, layout, "parked_receiver").Fields["number"]; uint64(number.Offset-count.Offset) != distance {
		t.Errorf("parked_receiver.number is %d bytes behind the count, expected %d", number.Offset-count.Offset, distance)
	}
}

func TestLayoutConstantsMatchTheProtocol(t *testing.T) {
	layout := readLayout(t)
	for key, ours := range map[string]uint64{
		"magic": magic, "version": version, "version_polling": versionPolling, "extension": extensionValid,
		"feature_wakes": featureWakes, "capability_taken": capabilityTaken, "capability_queue": capabilityQueue,
		"in_arena": inArena, "slot_payload": slotPayload, "max_data_size": maxDataSize,
		"max_queue_slots": maxQueueSlots, "max_queue_capacity": maxQueueCapacity,
	} {
		if expected := decode[uint64](t, layout, key); ours != expected {
			t.Errorf("%s is %d, expected %d", key, ours, expected)
		}
	}
}

func TestLayoutGeometriesMatchTheProtocol(t *testing.T) {
	for _, expected := range decode[[]map[string]uint64](t, readLayout(t), "geometries") {
		g := geometry{
			dataSize:      expected["data_size"],
			queueSlots:    expected["queue_slots"],
			queueOffset:   expected["queue_offset"],
			queueCapacity: expected["queue_capacity"],
		}
		ours := map[string]uint64{
			"data_size": g.dataSize, "queue_slots": g.queueSlots, "queue_offset": g.queueOffset,
			"queue_capacity": g.queueCapacity, "channel_tail": g.channelTail(), "channel_size": g.channelSize(),
			"layout_size": g.layoutSize(), "queue_size": g.queueSize(), "segment_size": g.segmentSize(),
			"master_to_slave": headerSize, "slave_to_master": headerSize + g.channelSize(),
		}
		if !reflect.DeepEqual(ours, expected) {
			t.Errorf("geometry %v, expected %v", ours, expected)
		}
		if made := newGeometry(g.dataSize, g.queueCapacity); made != g {
			t.Errorf("ours is %+v, the core's %+v", made, g)
		}
	}
}

func TestEventsMatchTheProtocol(t *testing.T) {
	layout := readLayout(t)
	for _, one := range decode[[]struct{ Prefix, Segment, Master, Slave string }](t, layout, "event_fifos") {
		at := address{name: one.Segment, domain: Domain{"/some/where", one.Prefix}}
		for role, expected := range map[Role]string{Master: one.Master, Slave: one.Slave} {
			if found := at.fifoPath(role); found != "/some/where/"+expected {
				t.Errorf("%s: %s, expected %s", one.Segment, found, expected)
			}
		}
	}
	bits := map[string]uint32{
		"count": parkedCount, "ordered": parkedOrdered, "bell": parkedBell, "in_vain": parkedInVain,
	}
	if expected := decode[map[string]uint32](t, layout, "waiters"); !maps.Equal(bits, expected) {
		t.Errorf("%v, expected %v", bits, expected)
	}
}
