"""Schema of the tasks of the generate command: one line a key.

Which tasks have a key is said by their files in `conf/task/` alone, as are the defaults: a task has the keys that its
file sets, and a key of another task is refused. Where a key means different things, its line says both."""

# ruff: noqa: E501  One line a key is worth more than the right margin.

from stylegan.configuration.keys import Key, Section

# fmt: off
TRUNCATION = Key("truncation", float, "psi: 1 = all the variety that was learned, 0.7 = less, and cleaner, 0 = the average image", alias=("trunc", "psi", "truncation_psi"))

DRAWN = Section("What is drawn", "", keys=(
    Key("seeds",  str | int, "numbers, ranges, latent files, images of ours; a seed is one image, always the same", free_text=True, example="0-15,20,fox.npz"),
    Key("label",  str | int | None, "class by name or number, numbers of the label, a mixture as in '0.7*fox+0.3*dog', or (images) all = each class, a row each in the grid; null for a network without labels; (interpolation) also one for each key frame or cell, as in 'fox;dog'; (find=class_mean) a pair, as in fox-dog", free_text=True, alias=("class",)),
    TRUNCATION,
    Key("truncation_cutoff", int | None, "only the first so many of the network's layers are truncated; null = all"),
    Key("center", str | int, "what truncation pulls to: mean | a seed | a latent file | clusters:64, of which each image takes the nearest", free_text=True, alias=("new_center",)),
    Key("directions", str | None, "directions that every image is moved along, each with its strength; @ its layers; null = none", free_text=True, example="smile.npz:2,age.npz[1]@middle:-1"),
    Key("like",   str | None, "image of this program that is made again: its seed or latent, label and settings, but for those that are typed", free_text=True, example="seed0042.png"),
    Key("save_latents", bool, "true = also w of all images as drawn, in latents.npz"),
    Key("grid",   str | None, "columns x rows of a sheet or of the cells of a video; null = the best shape", free_text=True, example="3x2"),
    Key("psis",   str | float, "the psi of each column", free_text=True, example="0,0.25,0.5,0.75,1"),
    Key("rows",   str | int, "style mixing: seeds, latent files or pictures of the rows", free_text=True, example="85,100,75", alias=("row_seeds",)),
    Key("cols",   str | int, "style mixing: of the columns", free_text=True, example="55,821,1789", alias=("col_seeds",)),
    Key("layers", str | int | None, "numbers, ranges, coarse | middle | fine, or blocks as in b16; style mixing: those that rows give to columns; null = all", free_text=True, example="coarse,8-11", alias=("col_styles", "styles")),
    Key("only_mix", bool, "true = the mixed images alone, without those of rows and columns", alias=("only_stylemix",)),
    Key("latents", bool, "style mixing: true = also w of the mixed images, row by row, as .npz"),
))
PATH = Section("Path of an interpolation", "", keys=(
    Key("path",     str | None, "walk = a smooth random loop | through = from one image to the next | circle | noise = loops; null = walk for one seed, else through"),
    Key("space",    str, "interpolation: z | w, in which is interpolated; projection: w | w+ | tuned"),
    Key("curve",    str | None, "between key frames: linear | slerp | cubic; null = slerp in z, linear in w"),
    Key("easing",   str, "speed between key frames: linear | in-, out- or in-out- with quad, cubic, sine, circular or back, as in in-out-sine | out-bounce | step"),
    Key("leg_sec",  str | float, "from one key frame to the next; one number, or one for each leg", "seconds", free_text=True, example="2,2,5", alias=("seed_sec", "dlatent_sec")),
    Key("loop",     bool, "true = from the last key frame back to the first; a walk, circle or noise is a loop in any case"),
    Key("duration_sec",  float | None, "of a walk, circle or noise, and of style mixing; null = 30, of blend 10", "seconds"),
    Key("smoothing_sec", float, "of a walk: how slowly it changes", "seconds"),
    Key("slowdown", float, "the same path this many times as slow, 1 or more"),
    Key("diameter", float, "of circle and noise: how far they lead from the image of the seed; 1 = a circle passes its opposite"),
    Key("timeline", str | None, "YAML file of tracks with key frames: psi, label, styles, directions, network, cells; null = none", free_text=True),
))
VIDEO = Section("Video, picture and sound", "", keys=(
    Key("format",  str, "images: png | jpeg | webp | png16; videos: mp4 | webm | gif | webp | apng | png = frames | png16; style mixing and blend: a sheet in a format of images, or a video in mp4 | webm | gif | apng"),
    Key("fps",     float, "frames of a second; a GIF has the nearest rate that it can have", "1/seconds"),
    Key("quality", int, "of mp4, webm, JPEG and WebP, 1 to 100; a WebP image of 100 is lossless"),
    Key("size",    str | int | None, "of the file, width x height; null = as drawn", "px", example="1080x1920"),
    Key("fit",     str, "how frames fill size: pad | crop | blur = on a blurred copy of themselves"),
    Key("scale",   int, "whole factor that pixels are repeated by"),
    Key("fill",    str, "colour of spare cells and of padding", example="black", free_text=True),
    Key("audio",   str | None, "sound file that goes into the video, and that tracks follow; null = none", free_text=True),
    Key("start_sec", float, "where in the sound the video begins", "seconds"),
    Key("audio_tracks", str | None, "what follows the sound: rms, bass, mid, high, onset, percussive or harmonic, onto psi, speed, noise, network, label or a direction; null = nothing", free_text=True, example="bass>psi:0.4,onset>speed:2"),
    Key("segment_frames", int, "frames of a part of the file, after which an interrupted rendering continues", "frames"),
))
CUSTOM = Section("Other sizes and layers", "", keys=(
    Key("canvas",      str | None, "width x height that is drawn in place of the network's size; null = the network's", "px", free_text=True, example="1024x512"),
    Key("canvas_mode", str, "how the learned constant and the noise fill it: tile | stretch | mirror"),
    Key("layer",       str | None, "feature maps of one layer in place of the image: its first three channels, or those named; list prints the layers", free_text=True, example="b32.conv1:0,5,9"),
    Key("crop",        str | None, "width x height cut out of the middle, as of car networks with black bars", "px", free_text=True, example="512x384"),
))
PROJECTION = Section("Projection", "", keys=(
    Key("target",   str | None, "picture, or folder of pictures, that is found in the network", free_text=True),
    Key("steps",    int | None, "of the search for latents; null = 1000, of the pivots of a tuning 450", "steps", alias=("num_steps",)),
    Key("masks",    str | None, "grey pictures named as the targets, or one for all: black counts nothing; null = none", free_text=True),
    Key("loss",     str, "distance of pictures that is made small: lpips | stlpips | multiscale; auto = the first whose weights are here"),
    Key("loss_path", str | None, "file of its weights; null = where they usually are", free_text=True),
    Key("start",    str | None, "where it starts: mean | best of 64 | a seed | a latent file", free_text=True, example="best of 64"),
    Key("batch",    int | None, "pictures at a time; null = as many as take about as long as one", "images"),
    Key("search_seed", int, "of the random numbers of the search"),
    Key("align",    str | None, "ffhq:landmarks.json or ffhq:detector.onnx = faces are cut out as in FFHQ; null = as the data are cut", free_text=True),
    Key("target_loss", float | None, "tuned: distance at which tuning ends; null = 0.06, of multiscale 0.001"),
    Key("tuning_steps", int, "tuned: most steps of the generator's tuning", "steps"),
    Key("together", bool, "tuned: true = one generator for all pictures | false = one each"),
    Key("locality", float, "tuned: weight of the term that keeps the rest of latent space as it was; 0 = none"),
    Key("video",    bool, "true = the search as a video, target at the left"),
))
DIRECTIONS = Section("Directions", "", keys=(
    Key("find",      str | None, "sefa = where styles change most | pca = how w spreads | boundary = from scores | class_mean = from class to class | channels = single styles; null = show the saved ones that directions names without a strength"),
    Key("variant",   str, "sefa: normalised = columns of unit length | stacked = as they are"),
    Key("count",     int, "sefa, pca, channels: how many directions"),
    Key("samples",   int, "seeds whose w is taken for pca, class means, and the sigma of every direction", "seeds"),
    Key("scores",    str | None, "boundary: CSV of seed,score or latent file,score; null = none", free_text=True, example="smile.csv"),
    Key("share",     float | None, "boundary: part of the latents at each end of the scores, up to 0.5; null = 0.02, or what gives 100"),
    Key("orthogonal_to", str | None, "directions that the found ones leave alone; null = none", free_text=True, example="age.npz,pose.npz[1]"),
    Key("unit",      str, "of strengths: sigma = standard deviations of w | absolute = distances in w"),
    Key("strengths", str | float, "of each column of the sheet; a video goes from the least to the largest", free_text=True, example="-3,-1.5,0,1.5,3"),
))
TWO_NETWORKS = Section("Two networks, and a run over time", "", keys=(
    Key("low",   str | None, "network of the low resolutions; null = the one of network", free_text=True, example="runs/faces"),
    Key("high",  str | None, "network of the high resolutions; interpolation: the one that a track network passes into", free_text=True, example="runs/drawings"),
    Key("at",    int | None, "resolution from which high counts; null = a sheet of every split, or a video of all weights", "px", example="64"),
    Key("width", float, "octaves below at over which low passes into high; 0 = at once", "octaves"),
    Key("mapping", str, "whose mapping network a blend has: low | high"),
    Key("unrelated", bool, "true = also networks without a common ancestor"),
    Key("checkpoints", str, "all = the kept networks of the run | snapshots = its pictures"),
    Key("hold_sec", float, "how long each of them is shown", "seconds"),
    Key("fade_sec", float, "in which one passes into the next; 0 = at once", "seconds"),
    Key("caption", bool, "true = a strip below says how long the network was trained"),
))
# fmt: on
TASKS = (DRAWN, PATH, VIDEO, CUSTOM, PROJECTION, DIRECTIONS, TWO_NETWORKS)
