package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
)

// processorTime is what processes have spent computing, in themselves and in
// the system for them, by what they are for. Unlike a rate it hardly depends on
// what else the machine is doing.
type processorTime struct {
	Rooms      time.Duration
	Connectors time.Duration
	Broker     time.Duration
	Database   time.Duration
}

// processorUse is processorTime for one request, in milliseconds. A figure is
// 0 where it can't be known, as for a database on another machine.
type processorUse struct {
	Rooms      float64 `json:"rooms_ms"`
	Connectors float64 `json:"connectors_ms"`
	Broker     float64 `json:"broker_ms"`
	Database   float64 `json:"database_ms"`
}

func (p processorTime) since(before processorTime, requests int) processorUse {
	each := func(now, then time.Duration) float64 {
		return float64((now - then).Microseconds()) / 1000 / float64(requests)
	}
	return processorUse{
		Rooms: each(p.Rooms, before.Rooms), Connectors: each(p.Connectors, before.Connectors),
		Broker: each(p.Broker, before.Broker), Database: each(p.Database, before.Database),
	}
}

func (b *benchRun) processorTime(ctx context.Context) processorTime {
	t := processorTime{Rooms: processOf(os.Getpid()).used, Broker: processOf(b.nats.Process.Pid).used}
	for _, pid := range b.kids.pids() {
		t.Connectors += processOf(pid).used
	}
	t.Database = databaseTime(ctx, b.rt.Store.DSN)
	return t
}

// databaseTime adds up the server's processes, when they run on this machine.
func databaseTime(ctx context.Context, dsn string) time.Duration {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return 0
	}
	defer conn.Close(ctx) //nolint:errcheck // only read from
	var pid int
	if err := conn.QueryRow(ctx, `SELECT pg_backend_pid()`).Scan(&pid); err != nil {
		return 0
	}
	server := processOf(pid).parent
	if server <= 1 {
		return 0
	}
	total := processOf(server).ended
	folders, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return 0
	}
	for _, folder := range folders {
		pid, err := strconv.Atoi(filepath.Base(folder))
		if err != nil {
			continue
		}
		if p := processOf(pid); p.parent == server {
			total += p.used
		}
	}
	return total
}

// procStat is a line of /proc/PID/stat.
type procStat struct {
	parent int
	// used is its own processor time, ended that of children that are gone.
	used, ended time.Duration
}

// clockTick is the unit of processor time in /proc, on every Linux that Go
// runs on.
const clockTick = 10 * time.Millisecond

// processOf reads what the system knows of a process; nothing where there is
// no such process or no /proc.
func processOf(pid int) procStat {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return procStat{}
	}
	// The program's name is in parentheses and may contain anything.
	end := bytes.LastIndexByte(text, ')')
	if end < 0 {
		return procStat{}
	}
	fields := bytes.Fields(text[end+1:])
	const parent, user, system, endedUser, endedSystem = 1, 11, 12, 13, 14
	if len(fields) <= endedSystem {
		return procStat{}
	}
	number := func(i int) int {
		n, err := strconv.Atoi(string(fields[i]))
		if err != nil {
			return 0
		}
		return n
	}
	return procStat{
		parent: number(parent),
		used:   time.Duration(number(user)+number(system)) * clockTick,
		ended:  time.Duration(number(endedUser)+number(endedSystem)) * clockTick,
	}
}
