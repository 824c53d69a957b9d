"""The words that Sketch knows, as tables. Colours are sRGB hex; a table's words are separated by spaces."""

# Six colours each: deep, shade, body, glow, light, accent.
PALETTES = {
    "dusk": "1b1433 4a2a5e b0486b f28a5b ffd9a0 37b6ae",
    "dawn": "26345a 5f6fa0 c68aa8 f7b596 fff0d2 e8685a",
    "night": "060b20 12264f 2b4f86 6f97cc e4eef8 f6c65a",
    "day": "17506f 3a8bb0 8fcad9 f6dfae fffaf0 e8603f",
    "storm": "10171f 293a49 566e79 97a9a4 e4e2cf dba33c",
    "autumn": "26110e 66281a b8511c e59a33 fae3a6 3f6a55",
    "winter": "18273c 46628a 8fadca cfdfea fdfeff cf4636",
    "spring": "1f4438 4f8f62 a5cc86 f6c3d0 fff6e6 ea5f8f",
    "summer": "07486a 0d8fa6 4fc6c3 ffdd83 fff8e1 ff6544",
    "neon": "08041c 2a0c5a 8a14b8 ff2f9e ffb4f0 22e3ff",
    "pastel": "7a76a8 a7a0d2 dcbcdd f9d2cd fff6ea 86d0c0",
    "gold": "1f1407 5a3a10 ad7819 e7b848 fff0c2 2f7378",
    "wood": "0b1c18 1b4233 4c7d4b adb962 f3eebc dd7540",
    "sea": "05212e 0b4d61 1a8d96 7bd0c4 f4f6e2 f6a35a",
    "sand": "2b130f 7b3322 cb703a edb16a fce6bf 3a7f90",
    "fire": "16060a 5e0f15 bb261b f46d1b ffd37b 3b74ad",
    "space": "05040f 191243 4b2a80 b058a8 f8d8e8 4fd3ea",
    "ink": "101114 33373e 70767e b4b7b8 f4f1ea c43a2b",
    "fox": "20161a 5b2a26 c4501f f09a4e fdeeda 4d8494",
    "steel": "0e1a24 2b4656 5f8794 b3c6c2 f3efe2 ee7b45",
    "rose": "2a1026 6b2450 b94a76 f2a08c ffe6cf 3f8f8a",
    "moss": "141d1a 34493b 7d8b52 d6c27a faf1d3 b6543a",
}

# What time, weather and mood suggest. The first word that is known decides.
MOOD_PALETTES = {
    "dusk": "dusk sunset twilight evening sundown romantic nostalgic nostalgia",
    "dawn": "dawn sunrise morning daybreak hope hopeful tender",
    "night": "night midnight moonlight moonlit nocturne dark nocturnal lonely melancholy starry",
    "day": "noon midday daylight bright sunny clear happy",
    "storm": "storm stormy thunder tempest rain rainy gloomy overcast cloudy misty fog foggy grim",
    "autumn": "autumn autumnal fall october november harvest cozy",
    "winter": "winter wintry december january cold frozen snow snowy frost frosty ice icy",
    "spring": "spring springtime april may fresh easter",
    "summer": "summer tropical vacation july august",
    "neon": "neon cyberpunk synthwave vaporwave electric futuristic rave disco",
    "pastel": "pastel soft gentle delicate dreamy dream baby kawaii",
    "gold": "golden gold luxury royal glowing baroque",
    "fire": "fire fiery burning hot lava inferno angry rage passion hell",
    "ink": "monochrome noir grayscale minimal minimalist ink sketch charcoal",
    "space": "cosmic psychedelic surreal magical mystical magic",
}

# What things suggest, where no mood does.
SUBJECT_PALETTES = {
    "sea": "sea ocean lake river beach wave water underwater coral reef fish whale dolphin island lagoon",
    "wood": "forest wood woods tree jungle garden leaf fern meadow park grass green frog rainforest",
    "sand": "desert dune sand canyon camel mesa egypt mars savanna pyramid",
    "fox": "fox tiger lion deer squirrel cat dog bear horse animal",
    "space": "space galaxy nebula cosmos universe planet star astronaut rocket alien comet saturn",
    "steel": "robot machine android city metal engine computer car train factory portrait",
    "fire": "volcano dragon phoenix flame sun",
    "spring": "flower blossom rose tulip bouquet bloom butterfly cherry bee",
    "dusk": "lighthouse boat ship harbor bridge castle",
    "winter": "penguin polar glacier iceberg arctic christmas",
    "dawn": "mountain hill valley peak alps landscape",
    "neon": "tokyo nightclub arcade",
    "night": "moon owl wolf bat ghost",
    "rose": "heart love woman girl face dancer wedding",
}

COLOURS = {
    "red": "d62828", "crimson": "b3123a", "scarlet": "e02a1f", "maroon": "6e1423", "ruby": "b0103c",
    "orange": "f27a1a", "amber": "f2a516", "copper": "b8693a", "rust": "a8431f", "terracotta": "c4623f",
    "yellow": "f4cf2a", "lemon": "f5e663", "mustard": "cfa01e", "ochre": "c5871f",
    "green": "3f9d4a", "emerald": "0f8f5f", "olive": "7c8130", "lime": "9ad12e", "mint": "8fdcb8",
    "jade": "2f9e78", "sage": "9cb08a", "teal": "14908f", "turquoise": "25bdb5", "cyan": "2fc4de",
    "aqua": "48cfd0", "blue": "2a62c9", "navy": "1c2f6b", "azure": "3f8fe0", "cobalt": "2447a8",
    "sapphire": "1d4fa8", "indigo": "4a37a0", "purple": "7b35a8", "violet": "7d4fc9", "lavender": "b3a0e0",
    "lilac": "c6a2d8", "magenta": "cf2a9a", "pink": "f07aa8", "fuchsia": "de2f93", "coral": "f5745c",
    "peach": "f9b48f", "salmon": "f28e78", "brown": "7a4a2a", "chocolate": "56301c", "beige": "dbc7a0",
    "cream": "f6ebcf", "white": "f5f5f2", "black": "1a1a1c", "grey": "85878a", "gray": "85878a",
    "silver": "b9c0c6",
}  # fmt: skip

# The composition that a thing asks for. The first word that is known decides.
FAMILIES = {
    "horizon": "sea ocean lake beach sunset sunrise horizon lighthouse boat ship sail island harbor coast shore "
    "river water lagoon bay field meadow plain wave reef whale dolphin bridge",
    "ridges": "mountain hill valley peak alps desert dune canyon volcano landscape glacier snow cliff mesa "
    "highland himalaya sand savanna iceberg arctic winter countryside",
    "forest": "forest wood woods tree jungle rainforest birch pine bamboo grove autumn fern trail path park",
    "city": "city skyline street town building skyscraper metropolis tokyo york downtown castle tower "
    "cyberpunk neon architecture urban factory village house",
    "bloom": "flower blossom rose tulip bouquet bloom garden butterfly sunflower daisy lotus petal orchid "
    "spring cherry bee fruit peony dahlia mandala",
    "cosmos": "space galaxy nebula cosmos universe planet star moon astronaut rocket alien comet saturn mars "
    "orbit eclipse starry sci universe",
    "figure": "portrait robot face person woman man girl boy queen prince princess father mother "
    " android machine cat dog fox animal "
    "lion tiger wolf bear dancer king computer car chair still bauhaus geometric cubist clock train",
    "paper": "map cave layer paper topographic island ravine coral agate geode marble cell pattern topography",
    "silk": "dream music wind silk aurora abstract love song flow smoke feather dance ribbon joy gradient fluid "
    "veil breeze melody jazz",
}

# What else is to be seen in a picture.
TRAITS = {
    "night": "night midnight moon moonlight moonlit nocturne starry dark owl",
    "stars": "star starry night midnight galaxy space cosmos",
    "storm": "storm stormy thunder tempest wild rough angry chaos furious windy",
    "calm": "calm quiet peaceful serene still gentle peace soft minimal zen",
    "fog": "fog foggy mist misty haze hazy dreamy morning dawn",
    "snow": "snow snowy winter wintry frost blizzard christmas arctic",
    "dunes": "desert dune sand savanna sahara",
    "beacon": "lighthouse beacon",
    "sail": "boat ship sail yacht sailing regatta",
    "ears": "fox cat wolf lynx dog bat kitten puppy rabbit bunny bear tiger lion animal deer",
    "short": "man boy king grandfather father prince",
    "machine": "robot android machine cyborg computer engine",
    "ring": "saturn ring ringed planet",
}
