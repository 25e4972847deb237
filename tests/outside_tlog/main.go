// Checks a log of ours with what Go's own checksum database is checked with: golang.org/x/mod's note and tlog.
//
//	tlog log FOLDER      a checkpoint, every tile, entries, and proofs, as they were handed out
//	tlog proofs FILE     lines of proofs: "record SIZE INDEX ROOT LEAF HASH…" and "tree OLD SIZE OLDROOT ROOT HASH…"
//	tlog verdicts FILE   the same lines, and "note VKEY BASE64" of a signed note: a verdict for each
//
// It ends with 0 when all is good, and with 1 and a line that begins with "refused" when anything is not.
// Verdicts are lines, "accepted" or "refused: WHY", and it ends with 0.
package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: tlog log FOLDER | tlog proofs FILE | tlog verdicts FILE")
		os.Exit(2)
	}
	if os.Args[1] == "verdicts" {
		if err := printVerdicts(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		return
	}
	checks := map[string]func(string) (int, error){"log": checkLog, "proofs": checkProofs}
	checked, err := checks[os.Args[1]](os.Args[2])
	if err != nil {
		fmt.Println("refused:", err)
		os.Exit(1)
	}
	fmt.Println("accepted", checked)
}

// openCheckpoint checks the signature with the key in the folder, and the text as C2SP has it.
func openCheckpoint(folder string, raw []byte) (tlog.Tree, error) {
	key, err := os.ReadFile(filepath.Join(folder, "vkey"))
	if err != nil {
		return tlog.Tree{}, err
	}
	verifier, err := note.NewVerifier(strings.TrimSpace(string(key)))
	if err != nil {
		return tlog.Tree{}, err
	}
	opened, err := note.Open(raw, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != verifier.Name() {
		return tlog.Tree{}, fmt.Errorf("the text is no checkpoint of %s", verifier.Name())
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return tlog.Tree{}, err
	}
	root, err := tlog.ParseHash(lines[2])
	return tlog.Tree{N: size, Hash: root}, err
}

// files reads tiles where C2SP tlog-tiles has them: without the height in the path.
type files string

func (folder files) Height() int { return 8 }

func (folder files) SaveTiles([]tlog.Tile, [][]byte) {}

func (folder files) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var found [][]byte
	for _, tile := range tiles {
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		raw, err := os.ReadFile(filepath.Join(string(folder), path))
		if err != nil {
			return nil, err
		}
		found = append(found, raw)
	}
	return found, nil
}

func checkLog(folder string) (int, error) {
	raw, err := os.ReadFile(filepath.Join(folder, "checkpoint"))
	if err != nil {
		return 0, err
	}
	tree, err := openCheckpoint(folder, raw)
	if err != nil {
		return 0, err
	}
	checked := 1
	reader := tlog.TileHashReader(tree, files(folder))
	for index := int64(0); index < tree.N; index++ {
		// The reader has checked every tile on the way against the signed root.
		found, err := reader.ReadHashes([]int64{tlog.StoredHashIndex(0, index)})
		if err != nil {
			return checked, err
		}
		line, err := entry(folder, index, tree.N)
		if err != nil {
			return checked, err
		}
		if tlog.RecordHash(line) != found[0] {
			return checked, fmt.Errorf("entry %d is not the leaf", index)
		}
		checked++
	}
	proofs, err := filepath.Glob(filepath.Join(folder, "proofs", "*"))
	if err != nil {
		return checked, err
	}
	for _, file := range proofs {
		raw, err := os.ReadFile(file)
		if err != nil {
			return checked, err
		}
		if err := checkProof(folder, raw); err != nil {
			return checked, fmt.Errorf("%s: %w", filepath.Base(file), err)
		}
		checked++
	}
	return checked, nil
}

// checkProof checks a tlog-proof, or a consistency proof from a checkpoint that lies beside.
func checkProof(folder string, raw []byte) error {
	head, checkpoint, _ := bytes.Cut(raw, []byte("\n\n"))
	tree, err := openCheckpoint(folder, checkpoint)
	if err != nil {
		return err
	}
	lines := strings.Split(strings.TrimPrefix(string(head), "c2sp.org/tlog-proof@v1\n"), "\n")
	word, number, _ := strings.Cut(lines[0], " ")
	at, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return err
	}
	var hashes []tlog.Hash
	for _, line := range lines[1:] {
		hash, err := tlog.ParseHash(line)
		if err != nil {
			return err
		}
		hashes = append(hashes, hash)
	}
	if word == "index" {
		line, err := entry(folder, at, tree.N)
		if err != nil {
			return err
		}
		return tlog.CheckRecord(hashes, tree.N, tree.Hash, at, tlog.RecordHash(line))
	}
	if word != "old" {
		return fmt.Errorf("neither a tlog-proof nor a consistency proof: %q", word)
	}
	older, err := os.ReadFile(filepath.Join(folder, "checkpoint-"+number))
	if err != nil {
		return err
	}
	old, err := openCheckpoint(folder, older)
	if err != nil {
		return err
	}
	return tlog.CheckTree(hashes, tree.N, tree.Hash, old.N, old.Hash)
}

// entry reads one entry of the bundle in which it is.
func entry(folder string, index, size int64) ([]byte, error) {
	tile := tlog.Tile{H: 8, L: 0, N: index / 256, W: 256}
	if tile.N == size/256 {
		tile.W = int(size % 256)
	}
	path := strings.Replace(tile.Path(), "tile/8/0/", "tile/entries/", 1)
	raw, err := os.ReadFile(filepath.Join(folder, path))
	if err != nil {
		return nil, err
	}
	for skip := index % 256; ; skip-- {
		if len(raw) < 2 || len(raw) < 2+int(raw[0])<<8+int(raw[1]) {
			return nil, fmt.Errorf("the bundle of entry %d is cut short", index)
		}
		length := int(raw[0])<<8 + int(raw[1])
		if skip == 0 {
			return raw[2 : 2+length], nil
		}
		raw = raw[2+length:]
	}
}

func checkProofs(file string) (int, error) {
	checked := 0
	err := eachLine(file, func(words []string) error {
		checked++
		if err := checkLine(words); err != nil {
			return fmt.Errorf("line %d: %w", checked, err)
		}
		return nil
	})
	return checked, err
}

func printVerdicts(file string) error {
	return eachLine(file, func(words []string) error {
		if err := checkLine(words); err != nil {
			fmt.Println("refused:", strings.ReplaceAll(err.Error(), "\n", " "))
		} else {
			fmt.Println("accepted")
		}
		return nil
	})
}

func eachLine(file string, do func([]string) error) error {
	opened, err := os.Open(file)
	if err != nil {
		return err
	}
	defer opened.Close()
	scanner := bufio.NewScanner(opened)
	scanner.Buffer(nil, 4<<20)
	for scanner.Scan() {
		if err := do(strings.Fields(scanner.Text())); err != nil {
			return err
		}
	}
	return scanner.Err()
}

// checkLine checks a proof that is written as one line, or a note.
func checkLine(words []string) error {
	if len(words) == 3 && words[0] == "note" {
		return checkNote(words[1], words[2])
	}
	if len(words) < 5 {
		return fmt.Errorf("a line of %d words", len(words))
	}
	first, err := strconv.ParseInt(words[1], 10, 64)
	if err != nil {
		return err
	}
	second, err := strconv.ParseInt(words[2], 10, 64)
	if err != nil {
		return err
	}
	var hashes []tlog.Hash
	for _, word := range words[3:] {
		raw, err := hex.DecodeString(word)
		if err != nil {
			return err
		}
		hash, err := tlog.ParseHash(base64.StdEncoding.EncodeToString(raw))
		if err != nil {
			return err
		}
		hashes = append(hashes, hash)
	}
	if words[0] == "record" {
		return tlog.CheckRecord(hashes[2:], first, hashes[0], second, hashes[1])
	}
	return tlog.CheckTree(hashes[2:], second, hashes[1], first, hashes[0])
}

// checkNote checks the signatures of a note with one key; what its text says is not looked at.
func checkNote(key, encoded string) error {
	verifier, err := note.NewVerifier(key)
	if err != nil {
		return err
	}
	raw, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return err
	}
	_, err = note.Open(raw, note.VerifierList(verifier))
	return err
}
