// Calls of Kubo's own Go client at one address; prints one JSON line a call: what it returned, or the error it gave.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"sort"
	"strings"
	"time"

	"github.com/ipfs/boxo/files"
	"github.com/ipfs/boxo/path"
	"github.com/ipfs/go-cid"
	"github.com/ipfs/kubo/client/rpc"
	iface "github.com/ipfs/kubo/core/coreiface"
	"github.com/ipfs/kubo/core/coreiface/options"
)

func main() {
	url, small, folder, broken, nowhere, car := os.Args[1], os.Args[2], os.Args[3], os.Args[4], os.Args[5], os.Args[6]
	api, err := rpc.NewURLApiWithClient(url, &http.Client{})
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	at := func(text string) path.Path { return path.FromCid(cid.MustParse(text)) }
	say := func(name string, value any, err error) {
		line := map[string]any{"call": name, "returned": value}
		if err != nil {
			line = map[string]any{"call": name, "error": err.Error(), "type": fmt.Sprintf("%T", err)}
		}
		text, _ := json.Marshal(line)
		fmt.Println(string(text))
	}
	text := func(reader io.Reader) (string, error) {
		all, err := io.ReadAll(reader)
		return string(all), err
	}
	pins := func(opts ...options.PinLsOption) ([]string, error) {
		channel := make(chan iface.Pin)
		failed := make(chan error, 1)
		go func() { failed <- api.Pin().Ls(ctx, channel, opts...) }()
		found := []string{}
		for pin := range channel {
			found = append(found, pin.Path().String()+" "+pin.Type()+" "+pin.Name())
		}
		sort.Strings(found)
		return found, <-failed
	}

	added, err := api.Unixfs().Add(ctx, files.NewBytesFile([]byte("a file of Go")), options.Unixfs.Pin(true, "by Go"))
	say("add", fmt.Sprint(added), err)
	directory := files.NewMapDirectory(map[string]files.Node{"a": files.NewBytesFile([]byte("a")), "b": files.NewBytesFile([]byte("b"))})
	added, err = api.Unixfs().Add(ctx, directory, options.Unixfs.CidVersion(1), options.Unixfs.Pin(true, ""))
	say("add of a folder", fmt.Sprint(added), err)
	added, err = api.Unixfs().Add(ctx, files.NewReaderFile(io.LimitReader(zeros{}, 5<<20)), options.Unixfs.Pin(false, ""))
	say("add of five mebibytes", fmt.Sprint(added), err)

	say("pin add", nil, api.Pin().Add(ctx, at(small), options.Pin.Name("named")))
	_, isPinned, err := api.Pin().IsPinned(ctx, at(small))
	say("is pinned", isPinned, err)
	_, isPinned, err = api.Pin().IsPinned(ctx, at(nowhere))
	say("is pinned, of none", isPinned, err)
	found, err := pins(options.Pin.Ls.Recursive(), options.Pin.Ls.Detailed(true))
	say("pin ls", found, err)
	found, err = pins(options.Pin.Ls.Name("nam"), options.Pin.Ls.Detailed(true))
	say("pin ls by name", found, err)
	say("pin update", nil, api.Pin().Update(ctx, at(small), at(folder)))
	say("pin rm", nil, api.Pin().Rm(ctx, at(folder)))
	say("pin rm again", nil, api.Pin().Rm(ctx, at(folder)))
	short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	say("pin add in time", nil, api.Pin().Add(short, at(nowhere)))
	cancel()

	stat, err := api.Block().Put(ctx, strings.NewReader("a block of Go"), options.Block.Pin(true))
	if err == nil {
		say("block put", fmt.Sprint(stat.Path(), stat.Size()), nil)
	} else {
		say("block put", nil, err)
	}
	reader, err := api.Block().Get(ctx, at(small))
	if err == nil {
		content, err := text(reader)
		say("block get", content, err)
	} else {
		say("block get", nil, err)
	}
	node, err := api.Unixfs().Get(ctx, at(small))
	if err == nil {
		content, err := text(node.(files.File))
		say("get", content, err)
	} else {
		say("get", nil, err)
	}
	// The error comes in a trailer, behind two thirds of the file.
	answer, err := api.Request("cat", broken).Option("offline", true).Send(ctx)
	if err == nil {
		content, err := text(answer.Output)
		say("cat of a broken file", len(content), err)
		answer.Close()
	} else {
		say("cat of a broken file", nil, err)
	}
	opened, err := os.Open(car)
	if err != nil {
		panic(err)
	}
	var imported any
	answer, err = api.Request("dag/import").FileBody(opened).Send(ctx)
	if err == nil {
		content, err := text(answer.Output)
		say("dag import", content, err)
		answer.Close()
	} else {
		say("dag import", imported, err)
	}
	key, err := api.Key().Self(ctx)
	if err == nil {
		say("key self", key.ID(), nil)
	} else {
		say("key self", nil, err)
	}
	resolved, _, err := api.ResolvePath(ctx, at(folder))
	say("resolve", fmt.Sprint(resolved), err)
	peers, err := api.Swarm().Peers(ctx)
	say("swarm peers", len(peers), err)
	var empty any
	say("a command that is not there", empty, api.Request("nope").Exec(ctx, &empty))
	say("a wrong option", empty, api.Request("pin/add", small).Option("recursive", "maybe").Exec(ctx, &empty))
}

type zeros struct{}

func (zeros) Read(into []byte) (int, error) {
	clear(into)
	return len(into), nil
}
