-- Tell what some of the keys take, so that all can be estimated: a page of SCAN, and the named keys, which few pages would meet.
-- KEYS: named keys. ARGV: cursor, how many keys a page has, prefixes, each of one or two parts that end with a colon ...
-- Returns {next cursor, keys of the page, bytes of each named key ..., bytes in the page by prefix ..., of no prefix}.
local bytes, named, places = {}, {}, {}
for i, key in ipairs(KEYS) do
  bytes[i], named[key] = redis.call('MEMORY', 'USAGE', key) or 0, true
end
for i = 3, #ARGV do
  places[ARGV[i]] = #KEYS + i - 2
end
for i = #KEYS + 1, #KEYS + #ARGV - 1 do
  bytes[i] = 0
end
local page = redis.call('SCAN', ARGV[1], 'COUNT', ARGV[2])
for _, key in ipairs(page[2]) do
  if not named[key] then
    local place = places[string.match(key, '^[^:]*:[^:]*:') or ''] or places[string.match(key, '^[^:]*:') or ''] or #bytes
    bytes[place] = bytes[place] + (redis.call('MEMORY', 'USAGE', key) or 0)
  end
end
return {page[1], #page[2], unpack(bytes)}
