-- Tell what a detail shows of a post as far as Redis knows, and count the view: one exchange.
-- KEYS: users set, bitmap, size, delta hash, claim hash, seen marker of (post, viewer), views by post: not yet claimed, claimed,
-- written. ARGV: user's number, user id, post id, seconds for which a viewer counts once, 0 to count no view.
-- Returns {liked, size, views, written}. liked is -1 when the answer is in the database: the likes are not loaded and none of the
-- user's is pending. size is -1 when the likes are not loaded. views are those not known to be in the row; written is what the row
-- has at least, -1 when that is not known.
-- pcall: a Redis that is full, or a replica, refuses to count the view and can still tell the rest.
local first = ARGV[4] ~= '0' and redis.pcall('SET', KEYS[6], '1', 'NX', 'EX', ARGV[4])
if first and not first.err then
  redis.call('HINCRBY', KEYS[7], ARGV[3], 1)
end
local views = (redis.call('HGET', KEYS[7], ARGV[3]) or 0) + (redis.call('HGET', KEYS[8], ARGV[3]) or 0)
local written = tonumber(redis.call('HGET', KEYS[9], ARGV[3]) or -1)
local size = redis.call('GET', KEYS[3])
if size then
  size = tonumber(size)
  if redis.call('EXISTS', KEYS[2]) == 1 then
    return {redis.call('GETBIT', KEYS[2], ARGV[1]), size, views, written}
  end
  if size == redis.call('SCARD', KEYS[1]) then
    return {redis.call('SISMEMBER', KEYS[1], ARGV[1]), size, views, written}
  end
end
local pending = redis.call('HGET', KEYS[4], ARGV[2]) or redis.call('HGET', KEYS[5], ARGV[2])
return {pending and tonumber(pending) or -1, -1, views, written}
