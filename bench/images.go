package bench

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"syscall"
	"time"

	"golang.org/x/image/draw"

	"atelier/internal/picture"
	"atelier/processors/quality"
)

// The work of one image: what a model draws for 9:16 at 2K, and what is made of it.
const (
	masterWidth, masterHeight = 1536, 2752
	// masterBytesMin and masterBytesMax are around what the models send.
	masterBytesMin, masterBytesMax = 900_000, 1_100_000
	exportWidth, exportHeight      = 1080, 1920
	thumbnailSide                  = 480
	exportQuality                  = 90
	thumbnailQuality               = 80
	imageMIMEType                  = "image/jpeg"
)

// ImagesConfig is how often images are worked on.
type ImagesConfig struct {
	// Runs is how often everything is measured, ours and the baseline in turns.
	Runs int
	// Images is how many a run works on, one after the other.
	Images int
	// Progress returns what hears how far a step is.
	Progress func(step string) func(done, total int64)
}

func (c *ImagesConfig) validate() error {
	if c.Runs < 1 || c.Images < 1 || c.Progress == nil {
		return fmt.Errorf("bench: %d runs of %d images", c.Runs, c.Images)
	}
	return nil
}

// Images measures the processor time (ms) and the memory (MB) that a generated image
// of 1536x2752 pixels and some 1 MB takes until it can be shown and delivered: decode,
// all deterministic checks, reductions to 480 and 128 pixels, a thumbnail, an export
// of 1080x1920, the digital source type. The baseline does the same by image/jpeg and
// x/image/draw's CatmullRom on RGBA, with the checks on the small picture.
//
// The time is what getrusage says of the whole process, garbage collection included.
// The memory is in a pass of its own: what the runtime holds of the system (mapped
// and not given back, garbage and stacks included), looked at each millisecond, above
// what it held after it had given back all that it could.
func Images(ctx context.Context, c ImagesConfig) ([]Figure, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	master, err := photograph(masterWidth, masterHeight)
	if err != nil {
		return nil, err
	}
	if len(master) < masterBytesMin || len(master) > masterBytesMax {
		return nil, fmt.Errorf("bench: the picture has %d bytes: what it measures is not the work", len(master))
	}
	var measured Figures
	// The first is not counted: pages and tables are touched for the first time.
	if err := errors.Join(planarWork(master), baselineWork(master)); err != nil {
		return nil, err
	}
	for run := range c.Runs {
		progress := c.Progress(fmt.Sprintf("run %d of %d", run+1, c.Runs))
		oursMs, oursMB, err := measureImages(ctx, c.Images, master, planarWork)
		if err != nil {
			return nil, err
		}
		progress(1, 2)
		baselineMs, baselineMB, err := measureImages(ctx, c.Images, master, baselineWork)
		if err != nil {
			return nil, err
		}
		progress(2, 2)
		measured.Add("images.cpu_ms", "ms", oursMs)
		measured.Add("images.baseline_cpu_ms", "ms", baselineMs)
		measured.Add("images.ratio_to_baseline", "ratio", oursMs/baselineMs)
		measured.Add("images.peak_mb", "MB", oursMB)
		measured.Add("images.baseline_peak_mb", "MB", baselineMB)
	}
	return measured, nil
}

// measureImages returns the processor time of one image, and the most memory that
// was held while as many were worked on again.
func measureImages(ctx context.Context, images int, master []byte, work func([]byte) error) (cpuMs, peakMB float64, err error) {
	all := func() error {
		for range images {
			if err := errors.Join(ctx.Err(), work(master)); err != nil {
				return err
			}
		}
		return nil
	}
	runtime.GC()
	began, err := cpuTime()
	if err != nil {
		return 0, 0, err
	}
	if err := all(); err != nil {
		return 0, 0, err
	}
	ended, err := cpuTime()
	if err != nil {
		return 0, 0, err
	}
	peak, err := peakMemory(all)
	return float64((ended - began).Microseconds()) / 1000 / float64(images), float64(peak) / 1e6, err
}

// cpuTime is what all threads of the process have used, in the kernel too.
func cpuTime() (time.Duration, error) {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return 0, fmt.Errorf("getrusage: %w", err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano()), nil
}

// peakMemory is by how many bytes what the process holds rises at most during work.
func peakMemory(work func() error) (bytes int64, err error) {
	debug.FreeOSMemory()
	before := heldMemory()
	done, peak := make(chan struct{}), make(chan int64)
	go func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		most := before
		for {
			select {
			case <-tick.C:
				most = max(most, heldMemory())
			case <-done:
				peak <- max(most, heldMemory())
				return
			}
		}
	}()
	err = work()
	close(done)
	return <-peak - before, err
}

func heldMemory() int64 {
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(samples)
	return int64(samples[0].Value.Uint64() - samples[1].Value.Uint64())
}

// asked lets every check do all of its work.
var asked = quality.Expectation{
	Width: masterWidth, Height: masterHeight, Ratio: float64(masterWidth) / masterHeight,
	Colours: []string{"#1f4d3a", "#e8d9b5", "#c8553d"}, ForbiddenColours: []string{"#ff00ff", "#00a2ff"}, Batch: make([]quality.Signature, 47),
}

// planarWork is the way of an image through the generator and one export.
func planarWork(master []byte) error {
	subject := quality.Open(master, imageMIMEType)
	if subject.Err != nil {
		return subject.Err
	}
	quality.Inspect(subject, asked)
	if _, err := picture.Thumbnail(subject.Small, thumbnailSide); err != nil {
		return err
	}
	_, err := picture.Export(subject.Image, picture.Target{Width: exportWidth, Height: exportHeight})
	return err
}

// baselineWork is what one would write first.
func baselineWork(master []byte) error {
	img, err := jpeg.Decode(bytes.NewReader(master))
	if err != nil {
		return fmt.Errorf("baseline: %w", err)
	}
	pixels := image.NewRGBA(img.Bounds())
	draw.Draw(pixels, pixels.Rect, img, image.Point{}, draw.Src)
	small := scaled(pixels, thumbnailSide*masterWidth/masterHeight, thumbnailSide)
	thumbnail, err := encoded(small, thumbnailQuality)
	if err != nil {
		return err
	}
	quality.Inspect(quality.Open(thumbnail, imageMIMEType), asked)
	_, err = encoded(scaled(pixels, exportWidth, exportHeight), exportQuality)
	return err
}

func scaled(from *image.RGBA, width, height int) *image.RGBA {
	to := image.NewRGBA(image.Rect(0, 0, width, height))
	draw.CatmullRom.Scale(to, to.Rect, from, from.Rect, draw.Src, nil)
	return to
}

// encoded is a JPEG with an APP1 segment of XMP behind its first marker.
func encoded(img image.Image, quality int) ([]byte, error) {
	var file bytes.Buffer
	if err := jpeg.Encode(&file, img, &jpeg.Options{Quality: quality}); err != nil {
		return nil, fmt.Errorf("baseline: %w", err)
	}
	xmp := []byte("http://ns.adobe.com/xap/1.0/\x00" + `<x:xmpmeta xmlns:x="adobe:ns:meta/"/>`)
	segment := append(binary.BigEndian.AppendUint16([]byte{0xff, 0xe1}, uint16(2+len(xmp))), xmp...)
	return slices.Concat(file.Bytes()[:2], segment, file.Bytes()[2:]), nil
}

// photograph is a JPEG like one of a camera or a model: large soft shapes, finer and
// finer ones in them, and grain. It is the same in every run.
func photograph(width, height int) ([]byte, error) {
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	random := rand.New(rand.NewPCG(9, 16))
	for cell, share := 512, 256; cell >= 4; cell, share = cell/4, share*2/5 {
		blur := image.NewRGBA(image.Rect(0, 0, width/cell+2, height/cell+2))
		for i := range blur.Pix {
			blur.Pix[i] = uint8(random.IntN(256))
			if i%4 == 3 {
				blur.Pix[i] = 255
			}
		}
		layer := image.NewRGBA(img.Rect)
		draw.BiLinear.Scale(layer, layer.Rect, blur, blur.Rect, draw.Src, nil)
		for i, v := range layer.Pix {
			img.Pix[i] = uint8(int(img.Pix[i]) + (int(v)-int(img.Pix[i]))*share/256)
		}
	}
	for i := range img.Pix {
		grain := random.IntN(2*grainMax+1) - grainMax
		img.Pix[i] = uint8(max(0, min(255, int(img.Pix[i])+grain)))
	}
	return encoded(img, exportQuality)
}

// grainMax is what makes the file as large as the models' are, some 1 MB.
const grainMax = 9
