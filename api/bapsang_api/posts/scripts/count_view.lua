-- Count a view, once per viewer and minute; none when Redis takes no writes.
-- KEYS: seen marker of (post, viewer), views by post: not yet claimed, claimed, written. ARGV: post id, seconds a viewer counts once.
-- Returns {views that are not known to be in the row, what the row has at least or -1}.
local first = redis.pcall('SET', KEYS[1], '1', 'NX', 'EX', ARGV[2])
if first and not first.err then
  redis.call('HINCRBY', KEYS[2], ARGV[1], 1)
end
local views = (redis.call('HGET', KEYS[2], ARGV[1]) or 0) + (redis.call('HGET', KEYS[3], ARGV[1]) or 0)
return {views, tonumber(redis.call('HGET', KEYS[4], ARGV[1]) or -1)}
