-- What may be in the bodies of requests, and in the names that they and the calls of policy.lua give.

local shapes, stack = require("shapes"), require("stack")
local own, own_id = stack.own, stack.own_id
local deny, like, one_of, absent = shapes.deny, shapes.like, shapes.one_of, shapes.absent
local list, map, struct, between = shapes.list, shapes.map, shapes.struct, shapes.between
local text, texts, number, numbers, flag = shapes.text, shapes.texts, shapes.number, shapes.numbers, shapes.flag
local no_text, no_list, no_map, no_number = shapes.no_text, shapes.no_list, shapes.no_map, shapes.no_number
local off = shapes.off
local plain, host, address, hardware_address = shapes.plain, shapes.host, shapes.address, shapes.hardware_address
local cpus, signal, detach_keys = shapes.cpus, shapes.signal, shapes.detach_keys

-- A call that waits for a container's end has a place for so long.
local LONGEST_STOP = 600
local seconds = like(
    function(value) return value:find("^%d%d?%d?$") and tonumber(value) <= LONGEST_STOP end,
    "0 to " .. LONGEST_STOP .. " seconds"
)

-- The operator's verbs know by these labels what is a stack's.
local label = like(function(key)
    for each in stack.labels:gmatch("[^,]+") do
        if key:lower() == each or each:find("/$") and key:lower():sub(1, #each) == each then
            return false
        end
    end
    return true
end, "a label of your own; only a stack of this project gives " .. stack.labels:gsub(",", ", "))
local labels = map(label, text)

-- Names ---------------------------------------------------------------------------------------------------------------

local NAME = "[%w][%w_.-]*"

-- A container has a name, and any beginning of its id is one too.
local function is_own(name)
    return name == own or name:find("^%x+$") and (name == own_id:sub(1, #name) or name:sub(1, #own_id) == own_id)
end

-- A container's name, with what may stand behind it.
local function other_container_with(behind, accepted)
    return like(function(value)
        local name, rest = value:match("^/?(" .. NAME .. ")(.*)$")
        return name and not is_own(name) and (rest == "" or behind and rest:find("^:" .. behind .. "$"))
    end, accepted .. " of a container that is not the proxy's")
end

local other_container = other_container_with(nil, "the name or id")
local volumes_from = other_container_with("r[ow]", "the name or id, with :ro or :rw or without,")
-- The engine joins the alias to the new container's name, and knows the linked container by that too.
local link = other_container_with(NAME, "NAME or NAME:ALIAS")

local other_volume = like(
    function(value) return value == "" or value:find("^" .. NAME .. "$") and value ~= own end,
    "the name of a volume that is not the proxy's"
)

-- Words between commas, each at most once: of each, the pattern of what stands behind its "=", or "" for no "=" at all.
local function options(patterns, accepted)
    return like(function(value)
        local seen = {}
        for option in (value == "" and "" or value .. ","):gmatch("([^,]*),") do
            local key, sign, rest = option:match("^([^=]*)(=?)(.*)$")
            local pattern = patterns[key]
            if not pattern or seen[key] or (pattern == "") ~= (sign == "") or not rest:find("^" .. pattern .. "$") then
                return false
            end
            seen[key] = true
        end
        return true
    end, accepted)
end

-- Where something is mounted in a container. It has one spelling, or the engine and runc take two for different places.
-- Below /proc, /sys and /dev is what a container shares with its host.
local SHARED = { proc = true, sys = true, dev = true }
local function is_place(value)
    local top = value:match("^/([^/]+)")
    return top and not SHARED[top] and not value:find("[%c\\:]") and not (value .. "/"):find("/%.?%.?/")
end
local A_PLACE = "an absolute path such as /cache, without //, . and .., and not below /proc, /sys or /dev"
local place_of_tmpfs = like(is_place, A_PLACE .. ", and without a / at its end")
-- The engine takes a slash at the end of these away.
local function is_place_or_folder(value) return is_place((value:gsub("/$", ""))) end
local mounted = like(is_place_or_folder, A_PLACE)
-- A path below /proc may lead out of the container, as by a file that runc has open.
local working = like(
    function(value) return value == "" or value == "/" or is_place_or_folder(value) end,
    "/, or " .. A_PLACE
)

-- A flag of mount(2) that changes what is mounted there already, `remount`, would change the host's own mounts. Others
-- change how mounts spread. Z takes a volume from all other containers on a host with SELinux.
local TMPFS = {
    size = "%d+[kKmMgG%%]?", nr_inodes = "%d+[kKmMgG]?", nr_blocks = "%d+[kKmMgG]?", mode = "[0-7]+",
    uid = "%d+", gid = "%d+", rw = "", ro = "", exec = "", noexec = "", suid = "", nosuid = "", dev = "", nodev = "",
}
local tmpfs = options(TMPFS, "rw, ro, exec, noexec, suid, nosuid, dev, nodev, size=64m, mode=1777, uid=1000, gid=1000, "
    .. "nr_inodes=10k, nr_blocks=10k, each at most once, with a comma between them")
local bind_mode = options({ rw = "", ro = "", z = "", nocopy = "" }, "rw, ro, z, nocopy")
local NAMED = "NAME:/PATH of a volume that is not the proxy's, for example cache:/cache; no folder of the host"
local function bind(value, place)
    text(value, place)
    if value ~= NULL then
        local name, path, mode = value:match("^(" .. NAME .. "):(/[^:]*)(.*)$")
        if not name or name == own or (mode ~= "" and mode:sub(1, 1) ~= ":") then
            deny(value, place, NAMED)
        end
        mounted(path, place .. "'s path")
        bind_mode(mode:sub(2), place .. "'s mode")
    end
end
local network = like(
    function(value) return value == "" or value:find("^" .. NAME .. "$") and value ~= "host" end,
    "default, bridge, none, or the name of a network; not host, and not container:NAME"
)

-- The repository of an image's name, with its registry. Source: distribution/reference, normalize.go.
local function repository(image)
    image = image:gsub("%s", ""):gsub("@.*$", ""):gsub(":[^/:]*$", "")
    local host, rest = image:match("^([^/]*)/(.*)$")
    if not host or not (host:find("[.:]") or host == "localhost" or host:find("%u")) then
        host, rest = "docker.io", image
    elseif host == "index.docker.io" then
        host = "docker.io"
    end
    return host .. "/" .. (host == "docker.io" and rest:gsub("^library/", "") or rest)
end

local deployed = {}
for _, image in ipairs(stack.images) do
    local name = repository(image:gsub("^%+", ""))
    deployed[name] = image:sub(1, 1) == "+" and deployed[name] ~= "sealed" and "pulled" or "sealed"
end
local OTHER_IMAGE = "an image that this CI is not deployed from"
local other_image = like(function(value) return not deployed[repository(value)] end, OTHER_IMAGE)
local pulled_image = like(function(value) return deployed[repository(value)] ~= "sealed" end, OTHER_IMAGE)

-- The bodies that create something. The fields are those that docker 20.10 to 28 and docker-py 7 send. ---------------

local CAPABILITIES = {}
for name in ("CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT "
    .. "KILL AUDIT_WRITE"):gmatch("%S+") do
    CAPABILITIES[name], CAPABILITIES["CAP_" .. name] = true, true
end

-- Of the other drivers the engine is the client, as root and in the network of the host. Templates are left out.
local size = like("^%d%d?%d?%d?[kKmM]?[bB]?$", "a size of up to 9999m")
local log = struct({ Type = one_of("", "json-file", "local", "none"), Config = struct({
    ["max-size"] = size, ["max-buffer-size"] = size, ["max-file"] = like("^%d%d?%d?$", "up to 999"),
    compress = one_of("true", "false"), mode = one_of("blocking", "non-blocking"),
}) })

local endpoint = struct({
    IPAMConfig = struct({ IPv4Address = address, IPv6Address = address, LinkLocalIPs = list(address) }),
    Links = list(link), Aliases = list(host), MacAddress = hardware_address, DriverOpts = no_map, GwPriority = number,
    DNSNames = no_list, NetworkID = no_text, EndpointID = no_text, Gateway = no_text, IPAddress = no_text,
    IPPrefixLen = no_number, IPv6Gateway = no_text, GlobalIPv6Address = no_text, GlobalIPv6PrefixLen = no_number,
})

-- A volume driver's options, or another driver, could mount a folder of the host.
local driver = struct({ Name = one_of("", "local"), Options = no_map })
local mount = struct({
    Type = one_of("volume", "tmpfs"), Source = other_volume, Target = mounted, ReadOnly = flag,
    Consistency = one_of("", "default", "consistent", "cached", "delegated"),
    VolumeOptions = struct({ NoCopy = flag, Labels = labels, DriverConfig = driver, Subpath = no_text }),
    TmpfsOptions = struct({ SizeBytes = number, Mode = number }),
})

-- Not: rtprio, nice and rttime, which take the processors from everybody else.
local ulimits = list(struct({
    Name = one_of("core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nofile", "nproc", "rss",
        "sigpending", "stack"),
    Hard = number, Soft = number,
}))

local port = like("^%d%d?%d?%d?%d?/?%l*$", "a port such as 80/tcp")
-- Where the stack itself listens, a job's container would get the log-ins of whoever comes while Jenkins is replaced.
local host_port = like(function(value)
    local written, behind = value:match("^(%d+)(.*)$")
    local first, last = tonumber(written), tonumber(behind == "" and written or behind and behind:match("^%-(%d+)$"))
    for _, taken in ipairs(stack.ports) do
        if first and last and first <= taken and taken <= last then
            return false
        end
    end
    return value == "" or first and last and first <= last and last <= 65535
end, "a port of the host such as 18080, or two with a - between; not one that the stack listens at")

local HOST = {
    Binds = list(bind), VolumesFrom = list(volumes_from), VolumeDriver = one_of("", "local"), Mounts = list(mount),
    Tmpfs = map(place_of_tmpfs, tmpfs), ReadonlyRootfs = flag, ShmSize = number,
    -- How it is confined.
    Privileged = off, CapDrop = list(like("^[%w_]+$", "a capability")),
    CapAdd = list(like(
        function(value) return CAPABILITIES[value:upper()] end,
        "the capabilities that a container has anyway, such as CHOWN"
    )),
    SecurityOpt = list(one_of("no-new-privileges", "no-new-privileges:true", "no-new-privileges=true")),
    MaskedPaths = absent, ReadonlyPaths = absent, -- [] would unmask them
    Devices = no_list, DeviceRequests = no_list, DeviceCgroupRules = no_list, Annotations = no_map, StorageOpt = no_map,
    PidMode = no_text, UTSMode = no_text, UsernsMode = no_text, CgroupnsMode = one_of("", "private"),
    IpcMode = one_of("", "none", "private", "shareable"), Cgroup = no_text, CgroupParent = no_text,
    Runtime = one_of("", "runc"), Isolation = one_of("", "default"), GroupAdd = list(like("^[%w_.-]+$", "a group")),
    Sysctls = map(
        like("^net%.[%w_-]+%.[%w_.-]+$", "--sysctl of the container's own network, such as net.core.somaxconn"),
        like("^[%w %.,-]*$", "words and numbers")
    ),
    -- Its network.
    NetworkMode = network, Links = list(link), Dns = list(address), DnsSearch = list(host),
    DnsOptions = list(like("^[%w:_-]+$", "an option such as ndots:2")),
    ExtraHosts = list(like("^[%w_.-]+[:=][%w.:%[%]-]+$", "NAME:ADDRESS, such as db:192.0.2.1 or db:host-gateway")),
    PortBindings = map(port, list(struct({ HostIp = address, HostPort = host_port }))),
    PublishAllPorts = flag,
    -- Its limits.
    Memory = number, MemoryReservation = number, MemorySwap = number, MemorySwappiness = number, KernelMemory = number,
    KernelMemoryTCP = number, OomKillDisable = off, NanoCpus = number, CpuShares = number, CpuPeriod = number,
    CpuQuota = number, CpusetCpus = cpus, CpusetMems = cpus, CpuRealtimePeriod = no_number,
    CpuRealtimeRuntime = no_number, CpuCount = number, CpuPercent = number, IOMaximumIOps = number,
    IOMaximumBandwidth = number, BlkioWeight = number, PidsLimit = number,
    -- These name files of the host, and the answer would tell whether they exist.
    BlkioWeightDevice = no_list, BlkioDeviceReadBps = no_list, BlkioDeviceWriteBps = no_list,
    BlkioDeviceReadIOps = no_list, BlkioDeviceWriteIOps = no_list,
    Ulimits = ulimits, OomScoreAdj = between(0, 1000),
    -- How it runs. The file is the client's own; the engine only keeps the name.
    AutoRemove = flag, Init = flag, ConsoleSize = numbers, ContainerIDFile = plain, LogConfig = log,
    RestartPolicy = struct({
        Name = one_of("", "no", "always", "on-failure", "unless-stopped"), MaximumRetryCount = number,
    }),
}

local health = struct({
    Test = texts, Interval = number, Timeout = number, StartPeriod = number, StartInterval = number, Retries = number,
})
local PROCESS = {
    User = like("^[%w_.:-]*$", "a user and a group, such as 1000:1000"), Env = texts, Cmd = texts,
    WorkingDir = working, Tty = flag, AttachStdin = flag, AttachStdout = flag, AttachStderr = flag,
}
local function process(more)
    for name, shape in pairs(PROCESS) do
        more[name] = shape
    end
    return struct(more)
end

local CONTAINER = process({
    Hostname = host, Domainname = host, ExposedPorts = map(port, no_map), OpenStdin = flag, StdinOnce = flag,
    ArgsEscaped = flag, Healthcheck = health, Image = plain, Volumes = map(mounted, no_map),
    Entrypoint = texts, NetworkDisabled = flag, MacAddress = hardware_address, OnBuild = no_list, Labels = labels,
    StopSignal = signal, StopTimeout = between(0, LONGEST_STOP), Shell = texts, HostConfig = struct(HOST),
    -- docker-py has a network's name in the place of EndpointsConfig, with null, which engines ignore.
    NetworkingConfig = struct({ EndpointsConfig = map(network, endpoint) }, absent),
})
local EXEC = process({
    Privileged = off, Detach = flag, DetachKeys = detach_keys, ConsoleSize = numbers, Container = other_container,
})
local NETWORK = struct({
    Name = network, CheckDuplicate = flag, Driver = one_of("", "bridge"), Scope = one_of("", "local"), Internal = flag,
    Attachable = flag, Ingress = off, ConfigOnly = off, ConfigFrom = struct({ Network = no_text }), EnableIPv4 = flag,
    EnableIPv6 = flag, Options = no_map, Labels = labels,
    IPAM = struct({ Driver = one_of("", "default"), Options = no_map, Config = no_list }),
})
local VOLUME = struct({ Name = other_volume, Driver = one_of("", "local"), DriverOpts = no_map, Labels = labels })
local CONNECT = struct({ Container = other_container, EndpointConfig = endpoint })
local DISCONNECT = struct({ Container = other_container, Force = flag })

-- What a client keeps of a log-in. The engine sends it to the server that it names.
local LOGIN = struct({
    username = text, password = text, auth = text, email = text, serveraddress = plain, identitytoken = text,
    registrytoken = text,
})
local EXEC_START = struct({ Detach = flag, Tty = flag, ConsoleSize = numbers })
local NONE = struct({})

return {
    NAME = NAME, is_own = is_own, container = other_container, volume = other_volume, network = network,
    repository = repository, image = other_image, pulled_image = pulled_image, labels = labels, ulimits = ulimits,
    seconds = seconds, CONTAINER = CONTAINER, EXEC = EXEC, EXEC_START = EXEC_START, NETWORK = NETWORK, VOLUME = VOLUME,
    CONNECT = CONNECT, DISCONNECT = DISCONNECT, LOGIN = LOGIN, NONE = NONE,
}
